"""The candidates, each started as its user would start it."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Literal

from configurations import configuration
from errors import MissingError
from judging import Check
from peers import node_red

__all__ = ["CANDIDATES", "Candidate", "Started", "started", "started_geoweir"]

_HERE: Final = Path(__file__).resolve().parent
_START_S: Final = 30.0
_END_S: Final = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Something to measure.

    Attributes:
        kind: ``ceiling`` has no process: feeder, broker and sink alone.
        protocol: towards the broker.
        parts: worker processes, or messages in hand for the echo.
        is_reference: whether it takes part where nobody chooses.
    """

    name: str
    kind: Literal["geoweir", "plain", "echo", "raw", "node-red", "ceiling"]
    protocol: Literal["5", "3.1.1"]
    parts: int
    is_reference: bool = True

    @property
    def check(self) -> Check:
        """What its results have to say."""
        if self.kind == "node-red":
            return "fence"
        return "join" if self.kind in {"geoweir", "plain"} else "none"

    def command(self, folder: Path, workload: Path, layer: Path, port: int) -> list[str]:
        """The command line; writes the configuration where there is one.

        Raises:
            MissingError: it needs what is not here.
        """
        connection = ["--port", str(port), "--protocol", self.protocol]
        match self.kind:
            case "geoweir":
                return _geoweir(folder, configuration(port, self.protocol, layer, self.parts))
            case "node-red":
                return node_red.command(folder, workload / "fence.json", port)
            case "plain":
                what = ["plain_pattern.py", "--workers", str(self.parts), "--layer", str(layer)]
            case "raw":
                what, connection = ["raw_echo.py"], connection[:2]
            case _:
                what = ["echo.py", "--tasks", str(self.parts)]
        return [sys.executable, str(_HERE / what[0]), *what[1:], *connection]


CANDIDATES: Final = (
    Candidate(name="geoweir-5-2w", kind="geoweir", protocol="5", parts=2),
    Candidate(name="raw-echo-5", kind="raw", protocol="5", parts=0),
    Candidate(name="geoweir-3.1.1-2w", kind="geoweir", protocol="3.1.1", parts=2),
    Candidate(name="plain-5-2w", kind="plain", protocol="5", parts=2),
    Candidate(name="echo-5", kind="echo", protocol="5", parts=100),
    Candidate(name="node-red", kind="node-red", protocol="3.1.1", parts=0),
    Candidate(name="ceiling", kind="ceiling", protocol="3.1.1", parts=0),
    Candidate(name="geoweir-5-1w", kind="geoweir", protocol="5", parts=1, is_reference=False),
    Candidate(
        name="geoweir-3.1.1-1w", kind="geoweir", protocol="3.1.1", parts=1, is_reference=False
    ),
    Candidate(name="plain-3.1.1-2w", kind="plain", protocol="3.1.1", parts=2, is_reference=False),
    Candidate(name="echo-3.1.1", kind="echo", protocol="3.1.1", parts=100, is_reference=False),
)


class Started:
    """A running candidate.

    Attributes:
        line: what it printed when it was ready.
    """

    def __init__(self, process: subprocess.Popen[str], line: str) -> None:
        self._process = process
        self.pid = process.pid
        self.line = line

    @property
    def url(self) -> str:
        """Where geoweir serves HTTP."""
        return self.line.split()[-1]

    def end(self) -> int:
        """Asks it to end and waits; the exit status."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(_END_S)


def started_geoweir(
    folder: Path, config: Mapping[str, Any]
) -> contextlib.AbstractContextManager[Started]:
    """A geoweir with a configuration of its own, and ``user_steps`` beside it; as ``started``."""
    shutil.copy(_HERE / "user_steps.py", folder)
    return started("geoweir", _geoweir(folder, config), folder)


@contextlib.contextmanager
def started(name: str, command: list[str], folder: Path) -> Iterator[Started]:
    """A process, when it said that it is ready; whatever is left of it at the end is killed.

    Raises:
        MissingError: it ended, or did not become ready in time.
    """
    errors = folder / "stderr"
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=stderr, text=True, start_new_session=True
        )
    try:
        assert process.stdout is not None  # noqa: S101 - for the type checker
        line = _ready_line(process.stdout)
        if line is None:
            raise MissingError(f"{name} did not start: {errors.read_text()[-2000:]}")
        yield Started(process, line)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(_END_S)


def _geoweir(folder: Path, config: Mapping[str, Any]) -> list[str]:
    path = folder / "geoweir.yaml"
    path.write_text(json.dumps(config), encoding="utf-8")
    return [sys.executable, "-m", "geoweir", "run", "-c", str(path)]


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
            if "ready" in line or node_red.READY in line:
                return line.strip()
    return None
