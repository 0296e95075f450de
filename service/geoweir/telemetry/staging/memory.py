"""Where the service's own memory was allocated, and what has grown: ``tracemalloc`` on demand.

Python's objects in the service process alone; a worker's memory is capped and exported already.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from pathlib import PurePath
from typing import Final, TypedDict

__all__ = ["MemoryReport", "MemoryTracer", "Place"]

_TOP: Final = 25
_PARTS: Final = 3  # of a path


class Place(TypedDict):
    """A line that allocated."""

    where: str
    bytes: int
    blocks: int
    more_bytes: int  # since the snapshot before
    more_blocks: int


class MemoryReport(TypedDict):
    """What a snapshot shows: the lines that grew or shrank the most."""

    traced_bytes: int
    peak_bytes: int
    tracer_bytes: int  # that the tracing itself takes
    since_s: float | None  # age of the snapshot it is compared with; None for the first
    top: list[Place]


class MemoryTracer:
    """Traces allocations from its making to ``close``; not safe for threads.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._before: tracemalloc.Snapshot | None = None
        self._taken_at = 0.0
        tracemalloc.start()

    def close(self) -> None:
        """Stops tracing and forgets."""
        self._before = None
        tracemalloc.stop()

    def report(self) -> MemoryReport:
        """Takes a snapshot and compares it with the one before. It blocks, for seconds at worst."""
        traced, peak = tracemalloc.get_traced_memory()
        snapshot = tracemalloc.take_snapshot().filter_traces(
            (tracemalloc.Filter(inclusive=False, filename_pattern=tracemalloc.__file__),)
        )
        now = self._clock()
        since_s = None if self._before is None else now - self._taken_at
        before = self._before or snapshot
        differences = snapshot.compare_to(before, "lineno")
        if since_s is None:
            differences.sort(key=lambda one: one.size, reverse=True)
        self._before, self._taken_at = snapshot, now
        return {
            "traced_bytes": traced,
            "peak_bytes": peak,
            "tracer_bytes": tracemalloc.get_tracemalloc_memory(),
            "since_s": since_s,
            "top": [_place(one) for one in differences[:_TOP]],
        }


def _place(one: tracemalloc.StatisticDiff) -> Place:
    frame = one.traceback[0]
    name = "/".join(PurePath(frame.filename).parts[-_PARTS:])
    return {
        "where": f"{name}:{frame.lineno}",
        "bytes": one.size,
        "blocks": one.count,
        "more_bytes": one.size_diff,
        "more_blocks": one.count_diff,
    }
