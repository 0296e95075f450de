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
        self._is_filled = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()
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

    async def filled(self) -> None:
        """Waits until something waits."""
        await self._is_filled.wait()

    async def room(self) -> None:
        """Waits until a parcel fits."""
        await self._has_room.wait()

    def top_up(self, chunk: Parcel) -> None:
        """Adds to a chunk what has come since it was taken."""
        before = len(self._backlog)
        self._backlog.top_up(chunk)
        self._note()
        if len(self._backlog) < before:
            # As a get does: nobody else would tell those who wait for room.
            self._wakeup_next(self._putters)  # type: ignore[attr-defined]

    def bound(self, stream: str, features: int) -> None:
        """Sets how many features a chunk of the stream has at most."""
        self._backlog.bound(stream, features)

    def parcels(self) -> Iterator[Parcel]:
        """What the weir answers for."""
        return self._backlog.parcels()

    def _init(self, maxsize: int) -> None:
        """The backlog was made by whoever knows the priorities."""

    def _put(self, item: Parcel) -> None:
        self._backlog.add(item)
        self._is_filled.set()
        if self.full():
            self._has_room.clear()

    def _get(self) -> Parcel:
        chunk = self._backlog.take(self._clock())
        self._note()
        return chunk

    def _note(self) -> None:
        if self.empty():
            self._is_filled.clear()
        if not self.full():
            self._has_room.set()
