"""How long a chunk waits for company: nothing at low rates, little at high ones.

Every chunk costs the service and its worker something beside what its inputs cost. So where inputs
come fast, a chunk that isn't full waits for those that come in the next moment; where they come
slowly, waiting would only delay them.
"""

from __future__ import annotations

from math import exp
from typing import Final

__all__ = ["Linger"]

#: Over which the rate of arrival is averaged, in seconds.
_OVER_S: Final = 0.05
#: Company that is worth waiting for, in inputs.
_WORTH: Final = 8


class Linger:
    """Decides from the rate at which inputs were taken lately.

    Args:
        chunk: inputs of a full chunk.
        linger_s: the longest wait.
    """

    def __init__(self, *, chunk: int, linger_s: float) -> None:
        self._chunk = chunk
        self._linger_s = linger_s
        self._rate = 0.0  # inputs a second
        self._noted_at = 0.0

    def note(self, now: float, count: int) -> None:
        """Takes note of inputs that were taken; ``now`` on the monotonic clock."""
        self._rate = self._rate * exp((self._noted_at - now) / _OVER_S) + count / _OVER_S
        self._noted_at = now

    def wait_s(self, now: float, waiting: int) -> float:
        """Seconds that a chunk of so many inputs waits: until it is full, by the rate, at most."""
        missing = self._chunk - waiting
        rate = self._rate * exp((self._noted_at - now) / _OVER_S)
        if missing <= 0 or rate * self._linger_s < _WORTH:
            return 0.0
        return min(self._linger_s, missing / rate)
