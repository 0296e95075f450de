"""Sightings between a worker and the service: every column typed, bounded, and of one length."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from geoweir.core.work import SIGHTING_ID, SIGHTINGS, Sightings
from geoweir.errors import WorkerError

__all__ = ["Sighted", "checked_sightings", "sighted"]

_CRS: Final = 128  # characters
_MOST: Final = msgspec.Meta(max_length=SIGHTINGS)

#: Bounds keep out what is not finite, too.
_Ordinates = Annotated[list[Annotated[float, msgspec.Meta(ge=-1e15, le=1e15)] | None], _MOST]
_LAST: Final = 253_402_300_799  # the end of the year 9999, beyond which there are no dates
_Times = Annotated[list[Annotated[float, msgspec.Meta(ge=0, le=_LAST)] | None], _MOST]


class Sighted(msgspec.Struct, array_like=True, frozen=True):
    """``Sightings`` as they travel."""

    crs: Annotated[str, msgspec.Meta(max_length=_CRS)]
    inputs: Annotated[list[int], _MOST]
    ids: Annotated[list[Annotated[str, msgspec.Meta(max_length=SIGHTING_ID)]], _MOST]
    x: _Ordinates
    y: _Ordinates
    times: _Times


def sighted(seen: Sightings | None) -> Sighted | None:
    """The sightings for a frame; used in workers."""
    if seen is None:
        return None
    return Sighted(seen.crs[:_CRS], seen.inputs, seen.ids, seen.x, seen.y, seen.times)


def checked_sightings(seen: Sighted | None, inputs: int) -> Sightings | None:
    """What a worker says that it saw of ``inputs`` inputs.

    Raises:
        WorkerError: the columns have different lengths, or tell of other inputs.
    """
    if seen is None:
        return None
    columns = (seen.ids, seen.x, seen.y, seen.times)
    if any(len(column) != len(seen.inputs) for column in columns):
        raise WorkerError("a worker sent sightings in columns of different lengths")
    if seen.inputs and not 0 <= min(seen.inputs) <= max(seen.inputs) < inputs:
        raise WorkerError("a worker sent sightings of an input that it wasn't given")
    return Sightings(seen.crs, seen.inputs, seen.ids, seen.x, seen.y, seen.times)
