"""How to reach the broker: what every connection of the service shares."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import Literal, Protocol

from geoweir.errors import BrokerError

__all__ = ["BrokerOptions", "OnLink", "TlsFiles", "tls_context"]


class OnLink(Protocol):
    """Told when a connection is up or down, with a line that says why."""

    def __call__(self, *, up: bool, why: str) -> None:
        """Takes note."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Certificates as files: the authority to trust (None: the system's), and our own."""

    ca: str | None = None
    cert: str | None = None
    key: str | None = None

    def context(self) -> ssl.SSLContext:
        """A client context that verifies the broker; OSError or ssl.SSLError for a bad file."""
        context = ssl.create_default_context(cafile=self.ca)
        if self.cert is not None:
            context.load_cert_chain(self.cert, self.key)
        return context


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerOptions:
    """Where the broker is and how we show ourselves."""

    host: str
    port: int
    transport: Literal["tcp", "websockets"] = "tcp"
    path: str = "/mqtt"
    tls: TlsFiles | None = None
    username: str | None = None
    password: str | None = None
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    session_expiry_s: int = 3600
    keepalive_s: int = 30
    timeout_s: float = 10.0

    @property
    def name(self) -> str:
        """The broker for people: ``host:port``."""
        return f"{self.host}:{self.port}"


async def tls_context(options: BrokerOptions) -> ssl.SSLContext | None:
    """The TLS context of a new connection, read anew so that rotated certificates count.

    Raises:
        BrokerError: a file can't be used.
    """
    if options.tls is None:
        return None
    try:
        return await asyncio.to_thread(options.tls.context)
    except OSError as error:
        raise BrokerError(f"TLS files for broker {options.name}: {error}") from None
