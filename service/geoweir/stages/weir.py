"""The weir: the bounded queue between the subscriptions and the chunks.

It is an asyncio.Queue whose size is counted in messages: parcels go in, chunks come out, by the
priorities of ``core.backlog``. ``put`` waits while there is no room for a whole parcel, so that
back-pressure reaches the inlet and then the broker; parcels hold at most ``piece`` messages.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from geoweir.core.backlog import Backlog
from geoweir.core.parcel import Parcel

__all__ = ["Weir"]


class Weir(asyncio.Queue[Parcel]):
    """A queue of at most ``limit`` messages."""

    def __init__(
        self, backlog: Backlog, *, limit: int, piece: int, clock: Callable[[], float]
    ) -> None:
        self._backlog = backlog
        self._clock = clock
        self.piece = min(piece, limit)
        super().__init__(limit)

    def qsize(self) -> int:
        """Messages that wait."""
        return len(self._backlog)

    def empty(self) -> bool:
        """Whether nothing waits."""
        return not len(self._backlog)

    def full(self) -> bool:
        """Whether a parcel may not fit any more."""
        return len(self._backlog) + self.piece > self.maxsize

    def top_up(self, chunk: Parcel) -> None:
        """Adds to a chunk what has come since it was taken."""
        self._backlog.top_up(chunk)

    def parcels(self) -> Iterator[Parcel]:
        """What the weir answers for."""
        return self._backlog.parcels()

    def _init(self, maxsize: int) -> None:
        """The backlog was made by whoever knows the priorities."""

    def _put(self, item: Parcel) -> None:
        self._backlog.add(item)

    def _get(self) -> Parcel:
        return self._backlog.take(self._clock())
