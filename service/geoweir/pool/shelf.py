"""The files that workers are to hold now, and what becomes of one that they can't use.

A file that replaces another is on trial until a worker has taken it up: the one before stays open
beside it, new workers start with that, and it comes back when a worker refuses the new one or two
die over it (one may have been killed for something else). One worker at a time takes up what is
new: the others go on meanwhile, and only the first meets what is bad.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from geoweir.core.spec import Reference

__all__ = ["Shelf", "ShelfEvents", "ShelfFile"]

_DEATHS: Final = 2


@dataclass(frozen=True, slots=True)
class ShelfFile:
    """An open file; the shelf closes its descriptor when nobody needs it any more."""

    reference: Reference
    version: str
    descriptor: int


class ShelfEvents(Protocol):
    """Who is told what workers do with files."""

    def taken(self, reference: Reference, version: str) -> None:
        """A worker works with this version, the first to do so."""
        ...

    def refused(self, reference: Reference, version: str, why: str) -> None:
        """A worker can't use this version; the one before is back."""
        ...


@dataclass(slots=True)
class _Place:
    """One layer or raster: its file, and the one before while the new one is on trial."""

    now: ShelfFile
    before: ShelfFile | None = None
    is_proved: bool = False
    deaths: int = 0  # of workers that were taking ``now`` up


@dataclass(slots=True)
class Shelf:
    """The files by what they are. Lives on the event loop; nothing here waits.

    Attributes:
        changed: set when a worker may be behind; who waits for it clears it.
        is_trying: a worker takes something up just now.
    """

    events: ShelfEvents
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    is_trying: bool = False
    _places: dict[Reference, _Place] = field(default_factory=dict)

    def put(self, file: ShelfFile) -> None:
        """Has this file instead of the one before it; it is the shelf's from now on."""
        place = self._places.get(file.reference)
        if place is None:
            self._places[file.reference] = _Place(file)
        elif place.is_proved:
            self._places[file.reference] = _Place(file, before=place.now)
        else:  # the one in between was never used
            self._places[file.reference] = _Place(file, before=place.before)
            _close(place.now)
        self.changed.set()

    def files(self) -> list[ShelfFile]:
        """What a new worker is to get, of everything; none on trial where there is another."""
        return [place.before or place.now for place in self._places.values()]

    def missing(self, held: Mapping[Reference, str]) -> list[ShelfFile]:
        """What a worker is to get that holds these; what another died over comes alone."""
        behind = [p for one, p in self._places.items() if held.get(one) != p.now.version]
        suspects = [place.now for place in behind if place.deaths]
        return suspects[:1] or [place.now for place in behind]

    def proved(self, files: Iterable[ShelfFile]) -> None:
        """A worker has taken these up."""
        for file in files:
            place = self._places.get(file.reference)
            if place is not None and place.now is file and not place.is_proved:
                place.is_proved = True
                _close(place.before)
                place.before = None
                self.events.taken(file.reference, file.version)

    def died(self, files: Iterable[ShelfFile]) -> None:
        """A worker ended while it took these up; one that it happens to again is refused."""
        for file in files:
            place = self._places.get(file.reference)
            if place is not None and place.now is file:
                place.deaths += 1
                if place.deaths >= _DEATHS:
                    self.refused(file, "workers ended while they took it up")

    def refused(self, file: ShelfFile, why: str) -> None:
        """A worker can't use this file: the one before is back, if no other worker could either."""
        place = self._places.get(file.reference)
        if place is not None and place.now is file:
            if place.before is not None:
                self._places[file.reference] = _Place(place.before, is_proved=True)
                _close(file)
                self.changed.set()
            self.events.refused(file.reference, file.version, why)

    def close(self) -> None:
        """Closes everything."""
        for place in self._places.values():
            _close(place.now)
            _close(place.before)
        self._places.clear()


def _close(file: ShelfFile | None) -> None:
    if file is not None:
        os.close(file.descriptor)
