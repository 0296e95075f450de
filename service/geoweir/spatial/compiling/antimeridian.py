"""Longitudes beyond 180 degrees: cut at the antimeridian as RFC 7946 (3.1.9) asks, and shifted.

A shape from 170 to 190 becomes two parts, 170 to 180 and -180 to -170. A shape within -180 to 180
stays as it stands: an edge from 179 to -179 runs the long way round, through Greenwich, as it does
for every planar reader of GeoJSON; such edges are pointed out. A ring around a pole is what it
looks like on the plane of longitude and latitude: it needs vertices along the pole and the
antimeridian, as Natural Earth's Antarctica has them.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt
import shapely

from geoweir.spatial.crs import Geometries
from geoweir.spatial.ragged import Ragged

__all__ = ["MOST_DEGREES", "is_beyond", "normalised", "with_long_edges"]

#: One turn more than the usual is taken for a shape across the antimeridian, more for a mistake.
MOST_DEGREES: Final = 540.0
_HALF: Final = 180.0
_TURN: Final = 360.0
_POLE: Final = 90.0
_POINT: Final = 0


def is_beyond(geometries: Geometries) -> npt.NDArray[np.bool_]:
    """Which have longitudes beyond -180 to 180; none without a geometry."""
    bounds = shapely.bounds(geometries)
    return np.asarray((bounds[:, 0] < -_HALF) | (bounds[:, 2] > _HALF))


def normalised(geometry: shapely.Geometry) -> shapely.Geometry:
    """The same places with longitudes from -180 to 180.

    Args:
        geometry: valid, of one dimension, x and y in degrees, within ``MOST_DEGREES``.
    """
    if shapely.get_dimensions(geometry) == _POINT:
        return shapely.transform(geometry, _wrapped)
    west, _, east, _ = shapely.bounds(geometry)
    first, last = math.floor((west + _HALF) / _TURN), math.ceil((east - _HALF) / _TURN)
    parts = [_shifted(geometry, turn) for turn in range(first, last + 1)]
    return shapely.union_all(np.concatenate(parts))


def _wrapped(coordinates: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    moved = coordinates.copy()
    beyond = np.abs(moved[:, 0]) > _HALF
    moved[beyond, 0] = (moved[beyond, 0] + _HALF) % _TURN - _HALF
    return moved


def _shifted(geometry: shapely.Geometry, turn: int) -> npt.NDArray[np.object_]:
    """The parts within one turn of the world, in its usual place."""
    by = _TURN * turn
    window = shapely.box(by - _HALF, -_POLE, by + _HALF, _POLE)
    parts = shapely.get_parts(shapely.intersection(geometry, window))
    kept = parts[shapely.get_dimensions(parts) == shapely.get_dimensions(geometry)]
    moved: npt.NDArray[np.object_] = shapely.transform(kept, lambda xy: xy - [by, 0])
    return moved


def with_long_edges(ragged: Ragged) -> npt.NDArray[np.intp]:
    """Features with an edge of more than 180 degrees other than from -180 to 180 or back."""
    x = ragged.coordinates[:, 0]
    if len(x) < 2:  # noqa: PLR2004
        return np.empty(0, dtype=np.intp)
    is_long = np.abs(np.diff(x)) > _HALF
    is_long &= ~((np.abs(x[:-1]) == _HALF) & (np.abs(x[1:]) == _HALF))
    ends = ragged.rings[1:-1].astype(np.intp)
    is_long[ends[(ends > 0) & (ends < len(x))] - 1] = False  # from one ring to the next
    starts = ragged.rings[ragged.parts[ragged.features]].astype(np.intp)
    owners = np.searchsorted(starts, np.flatnonzero(is_long), side="right") - 1
    return np.unique(owners[ragged.dimensions[owners] > _POINT])
