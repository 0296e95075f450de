"""How fast this processor does a fixed piece of work, by the best that was seen.

The only sign of throttling that needs no file, and so the only one that sees firmware at work from
within a container. A busy neighbour on the same core looks the same: it is one sign among others.
"""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Callable
from math import inf
from statistics import median
from typing import Final

__all__ = ["SpeedMeter"]

#: Hashing so much lets the interpreter's lock go, and stays within a first-level cache.
_BLOCK: Final = bytes(16_384)
_BLOCKS: Final = 8
_TRIES: Final = 3
_KEPT: Final = 3


def _work() -> None:
    digest = hashlib.sha256()
    for _ in range(_BLOCKS):
        digest.update(_BLOCK)


class SpeedMeter:
    """Times the work in CPU time of the calling thread: what others take does not count.

    Args:
        clock: nanoseconds of CPU time.
    """

    def __init__(self, clock: Callable[[], int] = time.thread_time_ns) -> None:
        self._clock = clock
        self._best = inf
        self._last: deque[int] = deque(maxlen=_KEPT)

    def measure(self) -> None:
        """Does the work a few times; the shortest counts."""
        times = []
        for _ in range(_TRIES):
            begun = self._clock()
            _work()
            times.append(max(1, self._clock() - begun))
        self._last.append(min(times))
        self._best = min(self._best, *times)

    def ratio(self) -> float | None:
        """The speed of late by the best, 0 to 1; None before the first measurement."""
        return self._best / median(self._last) if self._last else None
