"""How long each measurement may last, so that all of them end when the user said."""

from __future__ import annotations

from typing import Final

__all__ = ["Budget"]

_SHORTEST_S: Final = 1.0
_LONGEST_S: Final = 8.0
_OVERHEAD_S: Final = 2.5  # for starting, warming up and ending a service, before it is known


class Budget:
    """Shares time among measurements; those that must be made go before those that may.

    Args:
        seconds: for all of them.
        now: monotonic seconds.
        needed: how many must be made.
        optional: how many may be left out.
    """

    def __init__(self, seconds: float, now: float, *, needed: int, optional: int) -> None:
        self._end = now + seconds
        self._seconds = seconds
        self._needed = needed
        self._optional = optional
        self._overhead_s = _OVERHEAD_S

    def fraction(self, now: float) -> float:
        """How much of the time has passed, 0 to 1."""
        return min(1.0, max(0.0, 1.0 - (self._end - now) / self._seconds))

    def needed_s(self, now: float) -> float:
        """How long a measurement that must be made may last."""
        seconds = self._share_s(now)
        self._needed = max(0, self._needed - 1)
        return max(_SHORTEST_S, min(seconds, _LONGEST_S))

    def optional_s(self, now: float) -> float | None:
        """How long the next measurement may last; None when there is no time for it."""
        seconds = self._share_s(now)
        self._optional = max(0, self._optional - 1)
        if self.room(now) < 1:
            return None
        return max(_SHORTEST_S, min(seconds, _LONGEST_S))

    def room(self, now: float) -> int:
        """How many measurements that may be left out there is time for."""
        whole_s = self._overhead_s + _SHORTEST_S
        return int((self._end - now) / whole_s) - self._needed

    def give_up(self, optional: int) -> None:
        """So many measurements will not be made: their time is for the others."""
        self._optional = max(0, self._optional - optional)

    def took(self, whole_s: float, measured_s: float) -> None:
        """A measurement took so long in all: what it took beside measuring, others will too."""
        self._overhead_s = (self._overhead_s + max(0.0, whole_s - measured_s)) / 2

    def _share_s(self, now: float) -> float:
        count = max(1, self._needed + self._optional)
        return (self._end - now) / count - self._overhead_s
