"""How many inputs may be under way at once: enough to keep the service busy, few enough to end.

The bound follows the rate: what is under way has to be done within about half a second, or a slow
step would make each measurement end minutes later.
"""

from __future__ import annotations

from typing import Final

__all__ = ["Flow"]

_LEAST: Final = 64
_MOST: Final = 4000
_MOST_BYTES: Final = 16_000_000
_AHEAD_S: Final = 0.5


class Flow:
    """Counts arrivals that were caused and arrivals that were answered.

    Args:
        mean_bytes: of a payload.
    """

    def __init__(self, mean_bytes: float) -> None:
        self.caused = 0
        self._most = max(1, min(_MOST, int(_MOST_BYTES / max(mean_bytes, 1.0))))
        self._bound = min(_LEAST, self._most)
        self._confirmed = 0
        self._since = 0
        self._written_off = 0
        self._before: tuple[float, int] | None = None

    @property
    def answered(self) -> int:
        """Arrivals with an outcome: as the account said last, and the results seen since."""
        return min(self.caused, self._confirmed + self._since + self._written_off)

    @property
    def under_way(self) -> int:
        """Arrivals without an answer."""
        return self.caused - self.answered

    def room(self) -> int:
        """How many may be sent now."""
        return max(0, self._bound - self.under_way)

    def saw(self, count: int) -> None:
        """Results came."""
        self._since += count

    def confirm(self, settled: int) -> None:
        """The account says how many have an outcome, those without a result included."""
        if settled > self._confirmed:
            self._confirmed, self._since = settled, 0

    def write_off(self) -> int:
        """Waits no longer for what is under way: inputs at QoS 0 may be lost. How many they are."""
        lost = self.under_way
        self._written_off += lost
        return lost

    def adapt(self, now: float) -> None:
        """Sets the bound by the rate since the last call; ``now`` is monotonic seconds."""
        answered = self.answered
        if self._before is not None and now > self._before[0]:
            rate = (answered - self._before[1]) / (now - self._before[0])
            self._bound = max(min(_LEAST, self._most), min(self._most, int(rate * _AHEAD_S)))
        self._before = now, answered
