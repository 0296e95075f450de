"""The brokers between all: a mosquitto, or the demo's embedded one; empty at the beginning."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from errors import MissingError

__all__ = ["BROKERS", "Broker", "embedded", "free_port", "mosquitto", "mosquitto_path"]

_START_S: Final = 30.0
_END_S: Final = 15.0

#: What geoweir asks of a broker, as in ``deploy/mosquitto/mosquitto.conf``, but for the limit of
#: a queue's bytes: a flood has to fit. An interval of 0 writes nothing to disk until the end.
_MOSQUITTO: Final = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence true
persistence_location {folder}/
autosave_interval {autosave_s}
max_queued_messages 0
max_inflight_messages 1000
set_tcp_nodelay true
log_type error
log_type warning
"""


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker that answers on 127.0.0.1.

    Attributes:
        pid: of its process; None where it does not show.
        protocol: the newest that it speaks.
    """

    name: str
    port: int
    pid: int | None
    protocol: str


def mosquitto_path() -> str:
    """The broker's program.

    Raises:
        MissingError: there is none.
    """
    folders = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"
    found = shutil.which("mosquitto", path=folders)
    if found is None:
        raise MissingError(
            "no mosquitto on this machine: install it (Debian, Ubuntu: apt install mosquitto)"
        )
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def mosquitto(folder: Path, *, autosave_s: int = 5) -> Iterator[Broker]:
    """A mosquitto that keeps its files in the folder."""
    port = free_port()
    user = "" if os.geteuid() else "user root\n"
    config = folder / "mosquitto.conf"
    text = _MOSQUITTO.format(port=port, folder=folder, autosave_s=autosave_s)
    config.write_text(text + user, encoding="utf-8")
    with (folder / "mosquitto.log").open("wb") as log:
        process = subprocess.Popen([mosquitto_path(), "-c", str(config)], stdout=log, stderr=log)
    try:
        _await_port(port, process)
        yield Broker("mosquitto", port, process.pid, "5")
    finally:
        process.terminate()
        process.wait(_END_S)


@contextlib.contextmanager
def embedded(folder: Path) -> Iterator[Broker]:
    """The broker of the demo's package, which keeps nothing on disk.

    Raises:
        MissingError: the package is not installed.
    """
    del folder
    from geoweir.demo.broker import embedded_broker  # noqa: PLC0415 - where it is needed
    from geoweir.errors import BrokerError  # noqa: PLC0415

    with asyncio.Runner() as runner:
        running = contextlib.AsyncExitStack()
        try:
            broker = runner.run(running.enter_async_context(embedded_broker(kind="iotcore")))
        except BrokerError as error:
            raise MissingError(str(error)) from None
        try:
            yield Broker("iotcore", broker.port, None, broker.protocol)
        finally:
            runner.run(running.aclose())


#: By the name of a scenario's ``--brokers``.
BROKERS: Final[dict[str, Callable[[Path], AbstractContextManager[Broker]]]] = {
    "mosquitto": mosquitto,
    "iotcore": embedded,
}


def _await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise MissingError("mosquitto did not start")
