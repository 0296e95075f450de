"""Whether what waits moves: the question that every watchdog asks. Pure."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

__all__ = ["Progress", "patience"]

#: Chunk deadlines that may pass without a sign: a first pass that is put off, and an isolation.
_DEADLINES: Final = 4
_AT_LEAST_S: Final = 2.0


def patience(timeout_s: float) -> float:
    """Seconds that inputs may wait without a sign of progress, by the chunk deadline in seconds."""
    return _DEADLINES * timeout_s + _AT_LEAST_S


class Progress:
    """Measures for how long inputs have been waiting for us, and nothing happened.

    Time counts only while something waits, and only where the reason is inside: not while the
    broker is away or has yet to answer.

    Args:
        limit_s: from here on it is no progress.
        now: monotonic seconds.
    """

    def __init__(self, limit_s: float, now: float) -> None:
        self._limit_s = limit_s
        self._since = now
        self._mark: Hashable = None
        self.silent_s = 0.0

    def look(self, now: float, *, waiting: int, is_outside: bool, mark: Hashable) -> bool:
        """Whether there is progress.

        Args:
            now: monotonic seconds.
            waiting: inputs without an outcome.
            is_outside: whether somebody else has to move first.
            mark: what changes with each step forward.
        """
        if not waiting or is_outside or mark != self._mark:
            self._since, self._mark = now, mark
        self.silent_s = now - self._since
        return self.silent_s < self._limit_s
