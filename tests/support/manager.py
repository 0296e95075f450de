"""A stand-in for systemd: hears what a service says, and ends it on silence as systemd does."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from support.eventually import eventually

__all__ = ["Manager"]


class Manager:
    """The other end of ``NOTIFY_SOCKET``.

    On ``WATCHDOG=trigger``, and after READY=1 on silence, whoever said READY gets SIGABRT *and*
    SIGCONT (systemd's ``kill_and_sigcont``): a stopped process would keep the first for ever.

    Args:
        folder: where its socket is made.
        watchdog_s: WatchdogSec.
        is_abstract: whether the socket has a name without a file.
    """

    def __init__(self, folder: Path, watchdog_s: float = 2.0, *, is_abstract: bool = False) -> None:
        self.watchdog_s = watchdog_s
        self.lines: list[str] = []
        self.ended: list[int] = []  # processes that it ended
        name = f"geoweir-test-{os.getpid()}-{id(self)}"
        self._address = f"@{name}" if is_abstract else str(folder / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{name}" if is_abstract else self._address)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.settimeout(0.05)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="manager")

    @property
    def environment(self) -> dict[str, str]:
        """What a service finds."""
        usec = round(self.watchdog_s * 1e6)
        return {"NOTIFY_SOCKET": self._address, "WATCHDOG_USEC": str(usec)}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._socket.close()

    def wait(self, line: str, seconds: float = 60) -> None:
        """Waits until a line was said."""
        eventually(lambda: line in self.lines, seconds, lambda: self.lines[-5:])

    def _run(self) -> None:
        pid, fed = 0, time.monotonic()
        while not self._stop.is_set():
            try:
                data, control, _, _ = self._socket.recvmsg(4096, socket.CMSG_SPACE(12))
            except TimeoutError:
                pass
            else:
                lines = data.decode().split("\n")
                self.lines += lines
                if "READY=1" in lines:
                    pid = int.from_bytes(control[0][2][:4], "little")
                if "WATCHDOG=1" in lines:
                    fed = time.monotonic()
                if "WATCHDOG=trigger" in lines:
                    fed = 0.0
            if pid and time.monotonic() - fed > self.watchdog_s:
                self._end(pid)
                pid = 0

    def _end(self, pid: int) -> None:
        self.ended.append(pid)
        os.kill(pid, signal.SIGABRT)
        os.kill(pid, signal.SIGCONT)
