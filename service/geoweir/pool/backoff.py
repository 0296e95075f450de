"""When a slot starts its next worker: at once, unless its workers keep dying."""

from __future__ import annotations

from collections import deque
from typing import Final

__all__ = ["Backoff"]

SHORTEST_S: Final = 0.025
LONGEST_S: Final = 5.0
MANY: Final = 5  # deaths within the window that make it a habit
WINDOW_S: Final = 10.0


class Backoff:
    """Delays in seconds, doubling from 25 ms to 5 s.

    Counted are deaths before ready, in a row, and from the fifth on those of the last ten seconds.
    Workers that the service ends itself (deadline, memory, recycling) are no deaths: if they were,
    a sender of slow inputs could have the slots stand still.
    """

    def __init__(self) -> None:
        self._deaths: deque[float] = deque(maxlen=64)
        self._stillborn = 0

    def ready(self) -> None:
        """A worker became ready."""
        self._stillborn = 0

    def died(self, now: float, *, was_ready: bool) -> float:
        """Books a death and returns the delay before the next start."""
        if not was_ready:
            self._stillborn += 1
        self._deaths.append(now)
        while self._deaths[0] <= now - WINDOW_S:
            self._deaths.popleft()
        return _delay(max(self._stillborn, len(self._deaths) - MANY + 1))


def _delay(level: int) -> float:
    return min(LONGEST_S, SHORTEST_S * 2.0 ** (level - 1)) if level > 0 else 0.0
