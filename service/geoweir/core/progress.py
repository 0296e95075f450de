"""Whether what waits moves: the question that every watchdog asks. Pure."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

__all__ = ["Progress", "patience"]

#: Chunk deadlines that may pass without a sign: a first pass that is put off, and an isolation.
_DEADLINES: Final = 4
_AT_LEAST_S: Final = 2.0
#: What one look adds at most. Where nobody looked for longer, not the inputs stood still, but
#: all of us: a paused container, or a blocked loop, which the other end of the watchdog sees.
_GAP_S: Final = 2.0
#: Of standstill where it is known that nobody is there who could move anything.
_HOPELESS_S: Final = 3.0


def patience(timeout_s: float) -> float:
    """Seconds that inputs may wait without a sign of progress, by the chunk deadline in seconds."""
    return _DEADLINES * timeout_s + _AT_LEAST_S


class Progress:
    """Measures for how long inputs have been waiting for us, and nothing happened.

    Time counts only while something waits, and only where the reason is inside: not while the
    broker is away or has yet to answer. It has to be asked at least once in two seconds.

    Args:
        limit_s: from here on it is no progress.
        now: monotonic seconds.
    """

    def __init__(self, limit_s: float, now: float) -> None:
        self._limit_s = limit_s
        self._looked = now
        self._mark: Hashable = None
        self.silent_s = 0.0

    def look(
        self, now: float, *, waiting: int, is_outside: bool, mark: Hashable, is_stuck: bool = False
    ) -> bool:
        """Whether there is progress.

        Args:
            now: monotonic seconds.
            waiting: inputs without an outcome.
            is_outside: whether somebody else has to move first.
            mark: what changes with each step forward.
            is_stuck: whether it is known that nothing can move.
        """
        self.silent_s += min(now - self._looked, _GAP_S)
        self._looked = now
        if not waiting or is_outside or mark != self._mark:
            self.silent_s, self._mark = 0.0, mark
        return self.silent_s < (min(self._limit_s, _HOPELESS_S) if is_stuck else self._limit_s)
