"""Which inputs came before within a window: equal topic and payload, so equal keys of results.

An input is remembered from its arrival, and beyond its outcome only where that was published or
filtered: what was dropped may come again, and what a lost connection voided must.
"""

from __future__ import annotations

from collections import OrderedDict

__all__ = ["Repeats"]


class Repeats:
    """The memory of one stream, for all its lanes.

    Args:
        window_s: how long an input is remembered after its outcome.
        most: how many at once; beyond, the longest remembered is forgotten.

    Attributes:
        evicted: how many were forgotten because there are more than ``most``.
    """

    def __init__(self, window_s: float, most: int) -> None:
        self._window_s = window_s
        self._most = most
        self._in_flight: set[str] = set()  # bounded by the lanes' windows
        self._settled: OrderedDict[str, float] = OrderedDict()  # by the time of the outcome
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._settled)

    def is_repeat(self, digest: str, now: float) -> bool:
        """Whether an input came before; where it did not, it is in flight from now on.

        Args:
            digest: equal for equal inputs.
            now: monotonic seconds.
        """
        self._forget_old(now)
        if digest in self._in_flight or digest in self._settled:
            return True
        self._in_flight.add(digest)
        return False

    def settled(self, digest: str, now: float, *, is_done: bool) -> None:
        """An input that was no repeat has its outcome; ``is_done``: it need not come again."""
        self._in_flight.discard(digest)
        if not is_done:
            return
        self._settled[digest] = now
        self._settled.move_to_end(digest)
        if len(self._settled) > self._most:
            self._settled.popitem(last=False)
            self.evicted += 1

    def voided(self) -> None:
        """Inputs without an outcome come again: none of them is a repeat then."""
        self._in_flight.clear()

    def _forget_old(self, now: float) -> None:
        while self._settled:
            digest, since = next(iter(self._settled.items()))
            if now - since < self._window_s:
                return
            del self._settled[digest]
