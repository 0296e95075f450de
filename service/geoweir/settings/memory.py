"""Shares the memory that the service may have among its parts. Pure; sizes are bytes.

What counts is anonymous memory: it is what a limit kills for. Layers are mapped files, which the
kernel takes back when it needs their pages.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

__all__ = ["Demand", "MemoryPlan", "divide_memory", "share_memory"]

#: The service, the process that workers are forked from, and what the kernel keeps for sockets:
#: measured at 512 MB under full load, with a margin (docs/memory.md).
SERVICE_BYTES: Final = 90_000_000
#: ``stages.delivery``: results on their way to the broker.
OUTPUT_BYTES: Final = 32_000_000
#: Of one stream's unacknowledged inputs.
MOST_WINDOW: Final = 32_000_000
LEAST_WINDOW: Final = 2_000_000
#: Of one worker: what it is given where nobody says otherwise.
MOST_WORKER: Final = 150_000_000
LEAST_WORKER: Final = 64_000_000
#: Rather fewer workers than some with less than this.
GOOD_WORKER: Final = 100_000_000
#: Of the room for workers and windows, what windows get.
_WINDOW_SHARE: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What the configuration asks for; None where it leaves the choice to us."""

    streams: int
    workers: int | None = None
    auto_workers: int = 1  # what the processor has work for
    worker: int | None = None  # bytes of one
    kept: int = 0  # dropped inputs that are kept in memory
    live: int = 0  # live layers


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPlan:
    """Who may have how much."""

    limit: int
    demand: Demand
    is_enforced: bool = False  # somebody ends us above it
    workers: int = 1
    worker: int = MOST_WORKER
    window: int = MOST_WINDOW  # of each stream
    parts: tuple[tuple[str, int], ...] = ()  # for people: what, and bytes

    @property
    def total(self) -> int:
        """The sum of the parts."""
        return sum(size for _, size in self.parts)

    @property
    def room(self) -> int:
        """What is left for the pages of layers."""
        return max(0, self.limit - self.total)

    @property
    def fits(self) -> bool:
        """Whether the sum is within the limit."""
        return self.total <= self.limit

    def text(self) -> str:
        """The sum, as people write it."""
        parts = " + ".join(f"{name} {size / 1e6:.0f}MB" for name, size in self.parts)
        return f"{parts} = {self.total / 1e6:.0f}MB"


def share_memory(limit: int, demand: Demand, *, is_enforced: bool) -> MemoryPlan:
    """The plan for a limit; it need not fit, where the demand leaves no choice.

    Args:
        limit: bytes in all.
        demand: what is asked for.
        is_enforced: whether the limit is one that kills.
    """
    room = limit - SERVICE_BYTES - OUTPUT_BYTES - demand.kept - demand.live
    streams = max(1, demand.streams)
    window = min(max(_whole(int(room * _WINDOW_SHARE) // streams), LEAST_WINDOW), MOST_WINDOW)
    left = room - window * streams
    workers = demand.workers or _workers(left, demand)
    worker = demand.worker or min(max(_whole(left // workers), LEAST_WORKER), MOST_WORKER)
    parts = (
        ("service", SERVICE_BYTES),
        (f"{workers} workers" if workers > 1 else "1 worker", workers * worker),
        ("inputs", window * streams),
        ("outputs", OUTPUT_BYTES),
        ("kept", demand.kept),
        ("live layers", demand.live),
    )
    return MemoryPlan(
        limit=limit,
        demand=demand,
        is_enforced=is_enforced,
        workers=workers,
        worker=worker,
        window=window,
        parts=tuple((name, size) for name, size in parts if size),
    )


def divide_memory(plan: MemoryPlan, processes: int, auto_workers: int) -> MemoryPlan:
    """The plan of each of several processes that share a limit.

    Args:
        plan: of one that has it alone.
        processes: how many.
        auto_workers: what the processor has work for in each of them.
    """
    demand = replace(plan.demand, auto_workers=auto_workers)
    return share_memory(plan.limit // processes, demand, is_enforced=plan.is_enforced)


def _whole(size: int) -> int:
    """Whole megabytes, which read better."""
    return size - size % 1_000_000


def _workers(left: int, demand: Demand) -> int:
    """As many as there are processors for, and memory."""
    return max(1, min(demand.auto_workers, left // (demand.worker or GOOD_WORKER)))
