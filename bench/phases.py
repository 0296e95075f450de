"""Phases of a measurement, one after the other or side by side; each in a process of its own."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from outside import Job
from processes import cpu_s

__all__ = ["Costs", "Numbers", "faults_of", "run", "run_all"]

_OUTSIDE: Final = Path(__file__).resolve().parent / "outside.py"
_FAULTS: Final = ("missing", "repeated", "foreign", "wrong", "same_key")


class Numbers:
    """Hands out the numbers of messages, so that none is used twice in a run."""

    def __init__(self) -> None:
        self._next = 0

    def take(self, count: int) -> int:
        """The first of so many."""
        self._next += count
        return self._next - count


class Costs:
    """The CPU seconds that processes used since a moment, by part."""

    def __init__(self, parent: int | None, broker: int | None) -> None:
        self._parent, self._broker = parent, broker
        self._before = self._now()

    def since(self, seen: dict[str, Any]) -> dict[str, float]:
        """Microseconds for each message of a phase that has ended."""
        spent = {part: now - self._before[part] for part, now in self._now().items()}
        spent["outside"] = seen["cpu_s"]
        return {part: seconds / max(1, seen["sent"]) * 1e6 for part, seconds in spent.items()}

    def _now(self) -> dict[str, float]:
        found = {}
        if self._parent is not None:
            found["parent"] = cpu_s(self._parent, alone=True)
            found["workers"] = cpu_s(self._parent) - found["parent"]
        if self._broker is not None:
            found["broker"] = cpu_s(self._broker)
        return found


def run(job: Job) -> dict[str, Any]:
    """What the world outside saw."""
    return run_all([job])[0]


def run_all(jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """Phases at the same time."""
    with contextlib.ExitStack() as running:
        processes = [running.enter_context(_process(job)) for job in jobs]
        return [_told(process) for process in processes]


def faults_of(phase: str, seen: dict[str, Any]) -> list[str]:
    """What was not as it has to be: results lost, repeated, wrong."""
    return [f"{phase}: {seen[name]} {name}" for name in _FAULTS if seen.get(name)]


@contextlib.contextmanager
def _process(job: Job) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(_OUTSIDE), json.dumps(asdict(job))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def _told(process: subprocess.Popen[str]) -> dict[str, Any]:
    text, _ = process.communicate()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, "outside.py")
    seen: dict[str, Any] = json.loads(text)
    return seen
