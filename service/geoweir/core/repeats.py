"""Which inputs came before within a window: equal topic and payload, so equal keys of results.

An input is remembered from its arrival, and beyond its outcome only where that was published or
filtered: what was dropped may come again, and what a lost connection voided must.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

__all__ = ["Repeats"]


class Repeats:
    """The memory of one stream, for all its lanes.

    Args:
        window_s: how long an input is remembered after its outcome.
        most: how many at once; beyond, the longest remembered is forgotten.
        is_saved: note what changes, for ``take_changed``, which must be called then.

    Attributes:
        evicted: how many were forgotten because there are more than ``most``.
    """

    def __init__(self, window_s: float, most: int, *, is_saved: bool = False) -> None:
        self._window_s = window_s
        self._most = most
        self._is_saved = is_saved
        self._in_flight: set[str] = set()  # bounded by the lanes' windows
        self._settled: OrderedDict[str, float] = OrderedDict()  # by the time of the outcome
        self._new: set[str] = set()
        self._gone: set[str] = set()
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
        if self._is_saved:
            self._new.add(digest)
            self._gone.discard(digest)
        self._keep_the_bound()

    def voided(self) -> None:
        """Inputs without an outcome come again: none of them is a repeat then."""
        self._in_flight.clear()

    def restore(self, ages: Iterable[tuple[str, float]], now: float) -> None:
        """Takes up what was saved, the oldest first: digests, and seconds since their outcome."""
        for digest, age_s in ages:
            self._settled[digest] = now - age_s
        self._forget_old(now)
        self._keep_the_bound()

    def take_changed(self) -> tuple[set[str], set[str]]:
        """The digests that are to be remembered, and to be forgotten, since the last call."""
        new, gone, self._new, self._gone = self._new, self._gone, set(), set()
        return new, gone

    def _keep_the_bound(self) -> None:
        while len(self._settled) > self._most:
            digest, _ = self._settled.popitem(last=False)
            self._forgotten(digest)
            self.evicted += 1

    def _forgotten(self, digest: str) -> None:
        if self._is_saved:
            self._new.discard(digest)
            self._gone.add(digest)

    def _forget_old(self, now: float) -> None:
        while self._settled:
            digest, since = next(iter(self._settled.items()))
            if now - since < self._window_s:
                return
            del self._settled[digest]
            self._forgotten(digest)
