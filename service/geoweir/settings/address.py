"""Addresses: the broker's URL and the place where HTTP is answered.

An error never repeats the address: a URL may hold a password.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import SplitResult, unquote, urlsplit

__all__ = ["AddressError", "BrokerUrl", "read_broker_url", "read_listen"]

_Transport = Literal["tcp", "websockets"]
#: Scheme: transport, encrypted, usual port.
_SCHEMES: Final[dict[str, tuple[_Transport, bool, int]]] = {
    "mqtt": ("tcp", False, 1883),
    "mqtts": ("tcp", True, 8883),
    "ws": ("websockets", False, 80),
    "wss": ("websockets", True, 443),
}
_EXAMPLE: Final = "Write it like mqtt://broker.example:1883, or with mqtts, ws or wss."
_HOST: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252})|[0-9A-Fa-f:.]{2,45}(?:%[\w.-]+)?")
_LISTEN: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9_.-]{1,253})):([0-9]{1,5})")
_HIGHEST_PORT: Final = 65_535
_LONGEST: Final = 2000  # characters


class AddressError(ValueError):
    """An address that can't be used; ``help`` says what to write."""

    def __init__(self, what: str, help: str) -> None:  # noqa: A002 - the word that faults use
        super().__init__(what)
        self.help = help


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerUrl:
    """A broker's URL in parts."""

    host: str
    port: int
    transport: _Transport
    path: str
    is_encrypted: bool
    username: str | None
    password: str | None = field(repr=False)


def read_broker_url(url: str) -> BrokerUrl:
    """The parts of ``mqtt://user:password@host:port``, or mqtts, ws, wss.

    Raises:
        AddressError: it is none of these; the message holds nothing of the URL.
    """
    # urlsplit takes tabs and line breaks out in silence.
    if re.search(r"[\s\x00-\x1f\x7f]", url) or len(url) > _LONGEST:
        raise AddressError("this URL holds blanks or is too long.", _EXAMPLE)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise AddressError("this URL's host or port is malformed.", _EXAMPLE) from None
    if parts.scheme not in _SCHEMES:
        raise AddressError("this URL's scheme is not mqtt, mqtts, ws or wss.", _EXAMPLE)
    transport, is_encrypted, usual_port = _SCHEMES[parts.scheme]
    _check(parts, port, transport)
    return BrokerUrl(
        host=parts.hostname or "",
        port=usual_port if port is None else port,
        transport=transport,
        path=parts.path or "/mqtt",
        is_encrypted=is_encrypted,
        username=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
    )


def _check(parts: SplitResult, port: int | None, transport: _Transport) -> None:
    if not _HOST.fullmatch(parts.hostname or ""):
        raise AddressError("this URL names no usable host.", _EXAMPLE)
    if port == 0:
        raise AddressError("port 0 is no broker's port.", _EXAMPLE)
    if parts.query or parts.fragment or (transport == "tcp" and parts.path not in {"", "/"}):
        raise AddressError("this URL has parts after the port.", "Remove what follows the port.")


def read_listen(text: str) -> tuple[str, int]:
    """Host and port of ``127.0.0.1:9108`` or ``[::1]:9108``; port 0 takes a free one.

    Raises:
        AddressError: it is neither.
    """
    found = _LISTEN.fullmatch(text)
    if found is None or int(found[3]) > _HIGHEST_PORT:
        raise AddressError(
            "this is no HOST:PORT.", "Write it like 127.0.0.1:9108 or [::1]:9108; port 0 is any."
        )
    return found[1] or found[2], int(found[3])
