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


class TlsFiles:
    """Certificates as files: the authority to trust (None: the system's), and our own.

    Read anew for each connection, so that rotated ones count without a restart. Where they can't be
    used, as between the replacing of a certificate and that of its key, the last good ones serve.
    """

    def __init__(
        self, *, ca: str | None = None, cert: str | None = None, key: str | None = None
    ) -> None:
        self.ca = ca
        self.cert = cert
        self.key = key
        self._good: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        """A client context that verifies the broker; OSError where no good files were ever read."""
        try:
            self._good = self.read()
        except OSError:
            if self._good is None:
                raise
        return self._good

    def read(self) -> ssl.SSLContext:
        """A context of the files as they are now; OSError (ssl.SSLError is one) for a bad file."""
        context = ssl.create_default_context(cafile=self.ca)
        if self.cert is not None:
            # An empty passphrase: OpenSSL would ask for one at the terminal and wait.
            context.load_cert_chain(self.cert, self.key, password="")
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
