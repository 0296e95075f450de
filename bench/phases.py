"""Phases of a measurement, one after the other or side by side; each in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from outside import Job
from processes import cpu_s, machine_cpu_s

__all__ = ["LEAST", "Costs", "Source", "faults_of", "run_job", "run_jobs"]

_OUTSIDE: Final = Path(__file__).resolve().parent / "outside.py"
_WARM_UP_S: Final = 1.0
_MOST_WARM_UP: Final = 100_000
_MARGIN: Final = 1.5  # more messages than the warm-up's rate asks for: the phase ends by its time
#: Messages that a phase has at least.
LEAST: Final = 500
_FAULTS: Final = ("missing", "repeated", "foreign", "wrong", "same_key")


class Source:
    """Makes a run's jobs, so that no two messages of it have the same number.

    Args:
        base: what they all have in common.
    """

    def __init__(self, base: Job) -> None:
        self._base = base
        self._next = base.first

    def job(self, count: int, **changes: Any) -> Job:  # noqa: ANN401 - fields of a Job
        """A job with so many messages."""
        self._next += count
        return replace(self._base, first=self._next - count, count=count, **changes)

    def warmed_up(self, seconds: float) -> tuple[dict[str, Any], Job]:
        """Runs for a moment; what was seen, and a job that saturates for so many seconds."""
        seen = run_job(self.job(_MOST_WARM_UP, seconds=_WARM_UP_S))
        count = max(LEAST, int(seen["rate"] * seconds * _MARGIN))
        return seen, self.job(count, seconds=seconds)


class Costs:
    """The CPU seconds that processes used since a moment, by part."""

    def __init__(self, parent: int | None, broker: int | None) -> None:
        self._parent, self._broker = parent, broker
        self._before, self._began, self._busy_s = self._now(), time.monotonic(), machine_cpu_s()
        self._own_s = _own_s()

    def since(self, seen: dict[str, Any]) -> dict[str, float]:
        """Microseconds for each message of a phase that has ended."""
        spent = self._spent()
        spent["outside"] = seen["cpu_s"]
        return {part: seconds / max(1, seen["sent"]) * 1e6 for part, seconds in spent.items()}

    def others_percent(self) -> float:
        """What processes that have nothing to do with the measurement used of the machine."""
        busy_s = machine_cpu_s() - self._busy_s
        spent = self._spent()
        ours_s = spent.get("parent", 0.0) + spent.get("workers", 0.0) + spent.get("broker", 0.0)
        ours_s += _own_s() - self._own_s
        available_s = (time.monotonic() - self._began) * len(os.sched_getaffinity(0))
        return max(0.0, busy_s - ours_s) / available_s * 100

    def _spent(self) -> dict[str, float]:
        return {part: max(0.0, now - self._before[part]) for part, now in self._now().items()}

    def _now(self) -> dict[str, float]:
        found = {}
        if self._parent is not None:
            found["parent"] = cpu_s(self._parent, alone=True)
            found["workers"] = cpu_s(self._parent) - found["parent"]
        if self._broker is not None:
            found["broker"] = cpu_s(self._broker)
        return found


def _own_s() -> float:
    """Of this process and of the phases that have ended."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def run_job(job: Job) -> dict[str, Any]:
    """What the world outside saw."""
    return run_jobs([job])[0]


def run_jobs(jobs: Sequence[Job]) -> list[dict[str, Any]]:
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
