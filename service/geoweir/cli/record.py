"""One message of a recording, and how the texts of a recording become its values."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, Final

import orjson

from geoweir.codec.times import read_time
from geoweir.errors import SenderError

__all__ = [
    "Record",
    "ShapeError",
    "Skipped",
    "point_record",
    "position_of",
    "time_of",
    "value_of",
]

_MOST_DIGITS: Final = 16  # of a number, sign and point counted: a float keeps them all
_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)")
_DECIMAL: Final = re.compile(r"-?[0-9]*\.[0-9]+")


@dataclass(frozen=True, slots=True)
class Record:
    """One message of a recording.

    Attributes:
        time: Unix seconds; None where the recording has none.
        fields: the columns or properties; None for plain lines.
        payload: what is published.
        id: the device's id where the recording has one.
    """

    time: float | None
    fields: dict[str, Any] | None
    payload: bytes
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """A part of a recording that can't be a message, and why."""

    reason: str


class ShapeError(Exception):
    """The file as a whole is not what its ending says."""


def position_of(lon: str, lat: str) -> list[float] | None:
    """Longitude and latitude as finite numbers, None where one of them is none."""
    try:
        position = [float(lon), float(lat)]
    except ValueError:
        return None
    return position if all(map(math.isfinite, position)) else None


def value_of(text: str) -> object:
    """A number where the text is exactly one, None where it is empty, else the text.

    A leading zero is part of a code, not of a number, and too many digits would not survive.
    """
    if _INTEGER.fullmatch(text) and len(text) <= _MOST_DIGITS:
        return int(text)
    if _DECIMAL.fullmatch(text) and len(text) <= _MOST_DIGITS:
        return float(text)
    return text or None


def point_record(
    position: list[float], fields: dict[str, Any], ident: str | None, time: float | None
) -> Record:
    """A message that is a GeoJSON Feature with a point.

    Args:
        position: longitude, latitude and maybe height in metres.
        fields: the properties.
        ident: the device's id, None where there is none.
        time: Unix seconds.
    """
    document = {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": position},
        "properties": fields,
    }
    if ident is not None:
        document["id"] = ident
    return Record(time, fields, orjson.dumps(document), ident)


def time_of(value: object) -> float | None:
    """Unix seconds, also of milliseconds; None for what is no time."""
    if type(value) is float or type(value) is int:
        value = value / 1000 if abs(value) > 1e11 else value  # noqa: PLR2004 - year 5138 in seconds
    try:
        return read_time(value)
    except SenderError:
        return None
