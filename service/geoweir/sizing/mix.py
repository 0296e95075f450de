"""The streams' inputs as one sequence: each source in turn, by its share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from geoweir.ports import Outgoing
from geoweir.sizing.sources import Source
from geoweir.sizing.template import Moment

__all__ = ["Mix"]

_MOST_TURNS: Final = 1000


class Mix:
    """Takes inputs of all sources.

    Args:
        sources: at least one, each with at least one template.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = tuple(sources)
        self._next = [0] * len(sources)
        self._round = _interleaved([source.share for source in sources])
        self._turn = 0

    @property
    def mean_bytes(self) -> float:
        """Of a payload."""
        sizes = [
            sum(template.size() for template in source.templates) / len(source.templates)
            for source in self._sources
        ]
        shares = [source.share for source in self._sources]
        return sum(s * n for s, n in zip(sizes, shares, strict=True)) / sum(shares)

    def take(self, count: int, seconds: float) -> tuple[list[Outgoing], int]:
        """The next inputs, and how many the streams together will get of them.

        Args:
            count: how many.
            seconds: the fix time of those that have one to fill in, Unix seconds.
        """
        now = Moment.of(seconds)
        messages, arrivals = [], 0
        for _ in range(count):
            which = self._round[self._turn]
            self._turn = (self._turn + 1) % len(self._round)
            source, at = self._sources[which], self._next[which]
            template = source.templates[at]
            self._next[which] = (at + 1) % len(source.templates)
            messages.append(Outgoing(template.topic, template.payload(now), source.qos))
            arrivals += template.copies
        return messages, arrivals


def _interleaved(shares: Sequence[int]) -> list[int]:
    """One round: every source as often as its share says, evenly spread."""
    total = min(sum(shares), _MOST_TURNS)
    owed = [0.0] * len(shares)
    order = []
    for _ in range(total):
        owed = [have + share / sum(shares) for have, share in zip(owed, shares, strict=True)]
        which = max(range(len(owed)), key=owed.__getitem__)
        owed[which] -= 1
        order.append(which)
    return order
