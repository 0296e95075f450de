"""The candidates, each started as its user would start it, and the broker between them all."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Literal

__all__ = ["CANDIDATES", "Candidate", "MissingError", "broker", "mosquitto_path", "started"]

_HERE: Final = Path(__file__).resolve().parent
_START_S: Final = 30.0
_END_S: Final = 15.0


class MissingError(Exception):
    """Something that the measurement needs is not here, or did not start; one clear line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Something to measure.

    Attributes:
        kind: ``ceiling`` has no process: feeder, broker and sink alone.
        protocol: towards the broker.
        parts: worker processes, or messages in hand for the echo.
    """

    name: str
    kind: Literal["geoweir", "plain", "echo", "ceiling"]
    protocol: Literal["5", "3.1.1"]
    parts: int

    def command(self, folder: Path, layer: Path, port: int) -> list[str]:
        """The command line; writes the configuration where there is one."""
        if self.kind == "geoweir":
            config = folder / "geoweir.yaml"
            config.write_text(self._yaml(layer, port), encoding="utf-8")
            return [sys.executable, "-m", "geoweir", "run", "-c", str(config)]
        connection = ["--port", str(port), "--protocol", self.protocol]
        if self.kind == "plain":
            what = ["plain_pattern.py", "--workers", str(self.parts), "--layer", str(layer)]
        else:
            what = ["echo.py", "--tasks", str(self.parts)]
        return [sys.executable, str(_HERE / what[0]), *what[1:], *connection]

    def _yaml(self, layer: Path, port: int) -> str:
        return _YAML.format(
            port=port,
            protocol=self.protocol,
            layer=json.dumps(str(layer)),
            workers=self.parts,
            http=free_port(),
        )


CANDIDATES: Final = (
    Candidate(name="geoweir-5-2w", kind="geoweir", protocol="5", parts=2),
    Candidate(name="geoweir-5-1w", kind="geoweir", protocol="5", parts=1),
    Candidate(name="geoweir-3.1.1-2w", kind="geoweir", protocol="3.1.1", parts=2),
    Candidate(name="geoweir-3.1.1-1w", kind="geoweir", protocol="3.1.1", parts=1),
    Candidate(name="plain-5-2w", kind="plain", protocol="5", parts=2),
    Candidate(name="plain-3.1.1-2w", kind="plain", protocol="3.1.1", parts=2),
    Candidate(name="echo-5", kind="echo", protocol="5", parts=1),
    Candidate(name="echo-3.1.1", kind="echo", protocol="3.1.1", parts=1),
    Candidate(name="ceiling", kind="ceiling", protocol="3.1.1", parts=0),
)

_YAML: Final = """\
mqtt:
  url: mqtt://127.0.0.1:{port}
  protocol: "{protocol}"
  client_id: bench
layers:
  areas: {{path: {layer}}}
streams:
  positions:
    subscribe: bench/in/+
    fields: {{time: properties.time}}
    steps:
      - join: {{layer: areas, predicate: within, attach: [name]}}
    publish: {{topic: "bench/out/{{id}}"}}
pool: {{workers: {workers}}}
http: {{listen: "127.0.0.1:{http}"}}
"""

#: What geoweir asks of a broker, as in ``deploy/mosquitto/mosquitto.conf``.
_BROKER: Final = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence true
persistence_location {folder}/
autosave_interval 5
max_queued_messages 0
max_inflight_messages 1000
set_tcp_nodelay true
log_type error
log_type warning
"""


class Started:
    """A running candidate.

    Attributes:
        line: what it printed when it was ready.
    """

    def __init__(self, process: subprocess.Popen[str], line: str) -> None:
        self._process = process
        self.pid = process.pid
        self.line = line

    def end(self) -> int:
        """Asks it to end and waits; the exit status."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(_END_S)


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
def broker(folder: Path) -> Iterator[tuple[int, int]]:
    """A mosquitto with nothing in it: its port and its process id."""
    port = free_port()
    user = "" if os.geteuid() else "user root\n"
    config = folder / "mosquitto.conf"
    config.write_text(_BROKER.format(port=port, folder=folder) + user, encoding="utf-8")
    with (folder / "mosquitto.log").open("wb") as log:
        process = subprocess.Popen([mosquitto_path(), "-c", str(config)], stdout=log, stderr=log)
    try:
        _await_port(port, process)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(_END_S)


@contextlib.contextmanager
def started(candidate: Candidate, folder: Path, layer: Path, port: int) -> Iterator[Started]:
    """The candidate, subscribed; whatever is left of it at the end is killed.

    Raises:
        MissingError: it ended, or did not become ready in time.
    """
    errors = folder / "stderr"
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            candidate.command(folder, layer, port),
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )
    try:
        assert process.stdout is not None  # noqa: S101 - for the type checker
        line = _ready_line(process.stdout)
        if line is None:
            raise MissingError(f"{candidate.name} did not start: {errors.read_text()[-2000:]}")
        yield Started(process, line)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(_END_S)


def _ready_line(stdout: IO[str]) -> str | None:
    """The line that says ready; what is printed afterwards is read and forgotten."""
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read() -> None:
        for line in stdout:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True, name="stdout").start()
    deadline = time.monotonic() + _START_S
    with contextlib.suppress(queue.Empty):
        while (line := lines.get(timeout=max(0.0, deadline - time.monotonic()))) is not None:
            if "ready" in line:
                return line.strip()
    return None


def _await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise MissingError("mosquitto did not start")
