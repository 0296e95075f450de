"""What a service tells the service manager that started it: the protocol of sd_notify(3).

systemd speaks it, podman passes it on, and the image's own first process is its other end there.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import MutableMapping
from typing import Final

__all__ = ["Notifier"]

_SOCKET: Final = "NOTIFY_SOCKET"
_PERIOD: Final = "WATCHDOG_USEC"
_FOR: Final = "WATCHDOG_PID"
_DIGITS: Final = 15


class Notifier:
    """Sends datagrams to a service manager, or to nobody where there is none.

    Attributes:
        watchdog_s: within each such time the manager wants ``WATCHDOG=1``; None where it does not.
    """

    def __init__(self, address: str | None = None, watchdog_s: float | None = None) -> None:
        self.watchdog_s = watchdog_s
        self._address: str | None = None
        if address is not None and address[:1] in {"/", "@"}:
            self._address = "\0" + address[1:] if address[0] == "@" else address

    @classmethod
    def from_environ(cls, environ: MutableMapping[str, str], *, is_wanted: bool = True) -> Notifier:
        """The one that the environment names; its variables leave, so that no child inherits them.

        Args:
            environ: ``os.environ``.
            is_wanted: else nobody is told.
        """
        address = environ.pop(_SOCKET, None)
        period, pid = environ.pop(_PERIOD, ""), environ.pop(_FOR, "")
        is_ours = not pid or pid == str(os.getpid())
        usec = int(period) if period.isascii() and period.isdigit() and len(period) < _DIGITS else 0
        if not is_wanted:
            return cls()
        return cls(address, usec / 1e6 if usec and is_ours else None)

    def __bool__(self) -> bool:
        return self._address is not None

    def send(self, *lines: str) -> None:
        """Sends assignments such as ``READY=1``; a manager that is gone or slow stops nobody."""
        if self._address is None:
            return
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel,
        ):
            channel.settimeout(0.0)
            channel.sendto("\n".join(lines).encode(errors="replace"), self._address)
