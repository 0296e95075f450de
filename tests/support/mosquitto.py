"""A real mosquitto of the test's own: on loopback, with its own files, ended with the test."""

from __future__ import annotations

import contextlib
import getpass
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

BINARY = shutil.which("mosquitto") or next(
    (path for path in ("/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto") if Path(path).exists()),
    None,
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_answer(host: str, port: int, lives: Callable[[], bool] = lambda: True) -> bool:
    """Whether somebody listens there within ten seconds and while what should listen lives."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and lives():
        with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
            return True
        time.sleep(0.02)
    return False


class Mosquitto:
    """A broker process that can be stopped, killed, paused and started again."""

    def __init__(
        self,
        folder: Path,
        *,
        extra: str = "",
        port: int | None = None,
        host: str = "127.0.0.1",
        inside: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.host = host
        self.inside = tuple(inside)
        self.port = port or free_port()
        self.config = folder / "mosquitto.conf"
        self.log = folder / "mosquitto.log"
        if "listener" not in extra:
            extra = f"listener {self.port} {host}\n" + extra
        if "allow_anonymous" not in extra and "per_listener_settings" not in extra:
            extra += "\nallow_anonymous true\n"
        if "max_queued_messages" not in extra:
            extra += "\nmax_queued_messages 0\n"
        self.config.write_text(
            f"{extra}\n"
            f"user {getpass.getuser()}\n"
            "persistence true\n"
            f"persistence_location {folder}/\n"
            "autosave_interval 1\n"
            "max_inflight_messages 2000\n"
            "set_tcp_nodelay true\n"
            "log_type error\nlog_type warning\nlog_type notice\n",
            encoding="utf-8",
        )
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mqtt://{self.host}:{self.port}"

    def start(self) -> Mosquitto:
        assert BINARY is not None
        with self.log.open("ab") as log:
            process = self.process = subprocess.Popen(
                [*self.inside, BINARY, "-c", str(self.config)],
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )
        if wait_for_answer(self.host, self.port, lambda: process.poll() is None):
            return self
        raise AssertionError(f"mosquitto did not start: {self.log.read_text()[-2000:]}")

    def end(self, number: int = signal.SIGTERM) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            if number == signal.SIGTERM:
                self.process.send_signal(signal.SIGCONT)
            self.process.wait(10)

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)


@contextlib.contextmanager
def mosquitto(
    folder: Path,
    *,
    extra: str = "",
    port: int | None = None,
    host: str = "127.0.0.1",
    inside: Sequence[str] = (),
) -> Iterator[Mosquitto]:
    """A running mosquitto; skips, by name, where there is none."""
    if BINARY is None:
        pytest.skip("no mosquitto on this machine")
    broker = Mosquitto(folder, extra=extra, port=port, host=host, inside=inside)
    try:
        yield broker.start()
    finally:
        broker.end()
