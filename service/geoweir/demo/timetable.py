"""The demo's timetable: how the buses of a weekday run along the shapes of their routes.

Made by ``bench/make_demo_data.py``; the file's form is known to the two alone. Coordinates are
EPSG:4326, lon before lat; distances are metres along a shape, on the ellipsoid.
"""

from __future__ import annotations

import gzip
import json
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Final

import pyproj

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Pattern", "Shape", "Timetable", "Trip"]

_GEOD: Final = pyproj.Geod(ellps="WGS84")
_MICRODEGREES: Final = 1e-6
_DWELL_S: Final = 12.0  # a stop takes so long, or a third of the way to the next
_RAMP: Final = 1 / 6  # share of the way's time in which a bus gains or loses its speed


@dataclass(frozen=True, slots=True)
class Shape:
    """The way of a route.

    Attributes:
        lons: degrees.
        lats: degrees.
        metres: the distance of each vertex from the first one.
        courses: of each segment, degrees from north, clockwise, 0 to 360.
    """

    lons: list[float]
    lats: list[float]
    metres: list[float]
    courses: list[float]

    def at(self, metres: float) -> tuple[float, float, float]:
        """Longitude, latitude and course (degrees from north, clockwise) at a distance."""
        index = min(max(bisect_right(self.metres, metres) - 1, 0), len(self.metres) - 2)
        length = self.metres[index + 1] - self.metres[index]
        share = min(max((metres - self.metres[index]) / length, 0.0), 1.0) if length else 0.0
        lon = self.lons[index] + share * (self.lons[index + 1] - self.lons[index])
        lat = self.lats[index] + share * (self.lats[index + 1] - self.lats[index])
        return lon, lat, self.courses[index]


@dataclass(frozen=True, slots=True)
class Pattern:
    """How a trip runs: where it stops, and when.

    Attributes:
        route: the route's number as people read it.
        stops: metres along the shape, rising.
        times: seconds after the trip's start, rising, one for each stop: the arrival.
    """

    route: str
    shape: Shape
    stops: list[float]
    times: list[int]

    @property
    def duration_s(self) -> int:
        """From the first stop to the last."""
        return self.times[-1]

    def at(self, seconds: float) -> tuple[float, float]:
        """Metres along the shape and speed in m/s, at a time after the start."""
        index = bisect_right(self.times, seconds) - 1
        if index < 0:
            return self.stops[0], 0.0
        if index >= len(self.times) - 1:
            return self.stops[-1], 0.0
        gap = self.times[index + 1] - self.times[index]
        dwell = min(_DWELL_S, gap / 3)
        under_way = gap - dwell
        share, rate = _eased(max(seconds - self.times[index] - dwell, 0.0) / under_way)
        length = self.stops[index + 1] - self.stops[index]
        return self.stops[index] + share * length, rate * length / under_way


@dataclass(frozen=True, slots=True)
class Trip:
    """One trip of the day; ``start`` is in seconds after midnight."""

    start: int
    pattern: Pattern


@dataclass(frozen=True, slots=True)
class Timetable:
    """The trips of a weekday, by their start."""

    trips: list[Trip]

    @classmethod
    def read(cls, path: Path) -> Timetable:
        """Reads ``timetable.json.gz``."""
        with gzip.open(path, "rb") as file:
            content = json.load(file)
        shapes = [_shape(lons, lats) for lons, lats in content["shapes"]]
        patterns = [
            Pattern(content["routes"][route], shapes[shape], stops, times)
            for route, shape, stops, times in content["patterns"]
        ]
        return cls([Trip(start, patterns[number]) for start, number in content["trips"]])


def _shape(lon_steps: list[int], lat_steps: list[int]) -> Shape:
    lons = [value * _MICRODEGREES for value in accumulate(lon_steps)]
    lats = [value * _MICRODEGREES for value in accumulate(lat_steps)]
    metres = list(accumulate(_GEOD.line_lengths(lons, lats), initial=0.0))
    azimuths, _, _ = _GEOD.inv(lons[:-1], lats[:-1], lons[1:], lats[1:])
    return Shape(lons, lats, metres, [azimuth % 360.0 for azimuth in azimuths])


def _eased(time: float) -> tuple[float, float]:
    """Share of the way after a share of its time, and the speed there (1 is the mean).

    Even acceleration at the start, even braking at the end.
    """
    top = 1 / (1 - _RAMP)
    if time < _RAMP:
        return top * time * time / (2 * _RAMP), top * time / _RAMP
    if time <= 1 - _RAMP:
        return top * (time - _RAMP / 2), top
    left = max(1 - time, 0.0)
    return 1 - top * left * left / (2 * _RAMP), top * left / _RAMP
