"""Which Host headers are answered: the defence against DNS rebinding.

A page of a hostile site can make a browser send requests to this gateway under a name that the
site owns. Such a request carries that name; it is answered only when the name is one of ours. An
address can't be rebound, so where the service listens on every interface any address is answered.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final

__all__ = ["HostList", "host_of"]

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_EVERYWHERE: Final = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - compared, not bound
_LONGEST_PORT: Final = 5


class HostList:
    """The names that the service answers to.

    Args:
        listen: the host that the service listens on.
        allowed: further names from the configuration.
    """

    def __init__(self, listen: str, allowed: Iterable[str] = ()) -> None:
        own = {socket.gethostname().lower()} if listen in _EVERYWHERE else {listen.lower()}
        self._names = _LOOPBACK | own | {name.lower() for name in allowed}
        self._any_address = listen in _EVERYWHERE

    def allows(self, header: str) -> bool:
        """Whether a request with this Host header is answered."""
        host = host_of(header)
        if host is None:
            return False
        return host in self._names or (self._any_address and _is_address(host))


def host_of(header: str) -> str | None:
    """The host of a Host header in lower case, without port and brackets; None if malformed."""
    if header.startswith("["):
        host, bracket, rest = header[1:].partition("]")
        if not bracket or (rest and not _is_port(rest)):
            return None
        return host.lower()
    host, colon, port = header.partition(":")
    if not host or (colon and not _is_port(f":{port}")):
        return None
    return host.lower()


def _is_port(text: str) -> bool:
    digits = text[1:]
    return text[0] == ":" and digits.isascii() and digits.isdigit() and len(digits) <= _LONGEST_PORT


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
