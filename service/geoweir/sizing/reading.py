"""Clocks and counts of one moment; what lies between two of them is rate and load."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Self

from geoweir.settings.machine import cpu_quota
from geoweir.sizing.processes import busy_s, cpu_s, family
from geoweir.sizing.results import Load

__all__ = ["Reading"]


@dataclass(frozen=True, slots=True)
class Reading:
    """Readings of one moment; times are seconds of a monotonic clock or of CPU."""

    at: float
    answered: int
    tool_s: float
    broker_s: float
    service_s: float
    workers_s: float
    machine_s: float

    @classmethod
    def now(cls, answered: int, service: int | None) -> Self:
        """Reads everything.

        Args:
            answered: arrivals with an outcome.
            service: its process; None where there is none.
        """
        us = os.getpid()
        theirs = family(service) if service is not None else []
        broker = [pid for pid in family(us) if pid not in {us, *theirs}]
        return cls(
            at=time.monotonic(),
            answered=answered,
            tool_s=time.process_time(),
            broker_s=cpu_s(broker),
            service_s=cpu_s(theirs[:1]),
            workers_s=cpu_s(theirs[1:]),
            machine_s=busy_s(),
        )

    def rate_since(self, before: Reading) -> float:
        """Answers a second."""
        return (self.answered - before.answered) / max(self.at - before.at, 1e-9)

    def load_since(self, before: Reading) -> Load:
        """How busy each part was."""
        seconds = max(self.at - before.at, 1e-9)
        tool, broker, service, workers, machine = (
            (after - then) / seconds
            for after, then in zip(self._busy(), before._busy(), strict=True)
        )
        ours = tool + broker + service + workers
        return Load(
            tool=tool,
            broker=broker,
            service=service,
            workers=workers,
            others=max(0.0, machine - ours),
            # In a container the bound is our own, and the machine may be large and idle.
            machine=max(machine / (os.cpu_count() or 1), ours / _usable_cores()),
        )

    def _busy(self) -> tuple[float, ...]:
        return self.tool_s, self.broker_s, self.service_s, self.workers_s, self.machine_s


def _usable_cores() -> float:
    cores = float(len(os.sched_getaffinity(0)))
    quota = cpu_quota()
    return cores if not quota else min(cores, quota)
