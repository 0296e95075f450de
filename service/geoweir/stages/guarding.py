"""Ends crash loops: an input that kills the service is found, and not looked at again.

A service that died soon after its start lets in what comes again one by one, and notes its digest
before anything reads it; what comes for the first time can't have been in hand at a death. An input
that was alone in hand at two deaths in a row is the culprit: the next life reconciles it unread
(``crash``), by its topic, and it is kept for whoever wants to look at it. After a minute that went
well inputs flow as usual again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Final

from geoweir.codec.key import input_digest
from geoweir.core.clocks import Clocks
from geoweir.core.lane import REPEATED
from geoweir.core.parcel import Parcel
from geoweir.core.verdict import Verdict
from geoweir.ports import Lives

__all__ = ["Guard"]

#: A life that goes well for so long ends the care.
_WELL_AFTER_S: Final = 60.0
_LOOK_EVERY_S: Final = 0.002


class Guard:
    """Stands before the door of every stream.

    Args:
        lives: how earlier lives ended.
        inside: inputs that stages behind the door hold.
        deliver: takes a verdict that no worker is needed for.
        crashed: makes the verdict on inputs that killed the service.
    """

    def __init__(
        self,
        lives: Lives,
        *,
        inside: Callable[[], int],
        deliver: Callable[[Verdict], None],
        crashed: Callable[[Parcel], Verdict],
        clocks: Clocks,
    ) -> None:
        self._lives = lives
        self._inside = inside
        self._deliver = deliver
        self._crashed = crashed
        self._clocks = clocks
        self._deadly = frozenset(lives.deadly)
        self._began = clocks.monotonic()
        self._turn = asyncio.Lock()
        self.is_careful = lives.short > 0

    def is_deadly(self, address: str, payload: bytes) -> bool:
        """Whether this input killed a service."""
        return bool(self._deadly) and input_digest(address, payload) in self._deadly

    def look(self, parcel: Parcel) -> list[Parcel]:
        """What may come in: without what killed a service, and one by one where we are careful."""
        if self._deadly:
            parcel = self._without_deadly(parcel)
        if not len(parcel):
            return []
        if not self.is_careful or not any(flags & REPEATED for flags in parcel.flags):
            return [parcel]
        return [parcel.part([index]) for index in range(len(parcel))]

    @contextlib.asynccontextmanager
    async def alone(self, parcel: Parcel) -> AsyncIterator[None]:
        """The block lets a parcel in; where we are careful, alone and until it is done."""
        if not self.is_careful or not parcel.flags[0] & REPEATED:
            yield
            return
        async with self._turn:
            self._lives.takes(input_digest(parcel.addresses[0], parcel.payloads[0]))
            yield
            while self._inside():  # noqa: ASYNC110 - four stages would have to tell us
                await asyncio.sleep(_LOOK_EVERY_S)
            self._lives.takes(None)
            if self._clocks.monotonic() - self._began > _WELL_AFTER_S:
                self.is_careful = False
                self._lives.is_well()

    def _without_deadly(self, parcel: Parcel) -> Parcel:
        found = [
            index
            for index, payload in enumerate(parcel.payloads)
            if self.is_deadly(parcel.addresses[index], payload)
        ]
        if not found:
            return parcel
        self._deliver(self._crashed(parcel.part(found)))
        parcel.release(found)
        return parcel.without_released()
