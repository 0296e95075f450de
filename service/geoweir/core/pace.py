"""How a share of the workers' time is kept to: fewer slots first, then pauses between chunks.

A share of 0.7 of two slots is 1.4 slots: both are used, and every chunk owes the time that it took,
which is paid off at 1.4 seconds a second; while something is owed, no chunk begins. At a share of
0.4 one slot is left out altogether: a core that sleeps is cooler than two that do half as much.
"""

from __future__ import annotations

from math import ceil, inf
from typing import Final

__all__ = ["Pace"]

#: The longest that is waited for what is owed: a pause must not look like a service that hangs.
_LONGEST_PAUSE_S: Final = 5.0
#: No slot is added and no pause made for what rounding left over.
_ROUNDING: Final = 1e-6
#: While work is slowed, a chunk with its pause takes this share of a worker's deadline at most.
_CHUNK_SHARE: Final = 1 / 8
#: Weight of the newest chunk in what a feature takes.
_NEWEST: Final = 0.2


class Pace:
    """Says when the next chunk may begin and how large it may be; times are monotonic seconds.

    Args:
        workers: slots of the pool.
        chunk: features of the largest chunk.
        smallest_chunk: features of the smallest; a smaller one costs more than it brings.
        timeout_s: a chunk's longest deadline.
    """

    def __init__(self, *, workers: int, chunk: int, smallest_chunk: int, timeout_s: float) -> None:
        self._workers = workers
        self._chunk = chunk
        self._smallest = min(smallest_chunk, chunk)
        self._timeout_s = timeout_s
        self._rate = float(workers)  # slots that may be used
        self._owed_s = 0.0  # of slots' time; below 0 for chunks that still run
        self._at = 0.0
        self._feature_s: dict[str, float] = {}

    @property
    def duty(self) -> float:
        """The share of the workers' time that may be used."""
        return self._rate / self._workers

    def turn(self, now: float, duty: float) -> None:
        """Sets the share, above 0 and up to 1."""
        self._pay(now)
        self._rate = duty * self._workers

    def wait_s(self, now: float, running: int) -> float:
        """Seconds until a chunk may begin; infinite while it waits for one of those running."""
        if self._rate >= self._workers:
            return 0.0
        if running >= ceil(self._rate - _ROUNDING):
            return inf
        self._pay(now)
        if not running:
            # Time that nobody used is gone; while a chunk runs, it is being paid for.
            self._owed_s = max(0.0, self._owed_s)
        return self._owed_s / self._rate if self._owed_s > _ROUNDING else 0.0

    def spent(self, now: float, seconds: float) -> None:
        """Books a slot's time that ends at ``now``."""
        self._pay(now)
        self._owed_s = min(self._owed_s + seconds, _LONGEST_PAUSE_S * self._rate)

    def observe(self, stream: str, features: int, run_s: float) -> int:
        """Takes note of a chunk that was done; the features that the stream's next may have."""
        each_s = run_s / max(1, features)
        before = self._feature_s.get(stream, each_s)
        self._feature_s[stream] = before + (each_s - before) * _NEWEST
        return self.limit(stream)

    def limit(self, stream: str) -> int:
        """Features that a chunk of the stream may have."""
        each_s = self._feature_s.get(stream, 0.0)
        if self.duty >= 1.0 or each_s <= 0.0:
            return self._chunk
        fitting = int(self.duty * self._timeout_s * _CHUNK_SHARE / each_s)
        return min(max(fitting, self._smallest), self._chunk)

    def _pay(self, now: float) -> None:
        paid_s = self._owed_s - (now - self._at) * self._rate
        self._owed_s = max(paid_s, -_LONGEST_PAUSE_S * self._rate)
        self._at = now
