"""Cropping: which points lie in a box, or in any polygon of a set.

A point on an edge is in: neighbouring crops share their edges, and no point falls between them.
Polygons are those of GEOS's ``intersects``. The kernel sorts their edges into horizontal bands and
counts those to the right of a point, polygon by polygon (W. R. Franklin's rule); where rounding
hides on which side of an edge a point lies, it says so, and GEOS decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import shapely

from geoweir.spatial.cloud.points import CloudError, Points, buffer, finite_rows
from geoweir.spatial.crs import Geometries
from geoweir.spatial.kernel.loaded import ffi, lib

__all__ = ["Box", "in_polygons"]

_Flags = npt.NDArray[np.bool_]

#: Points times the edges at their height: about two seconds.
_MOST_TESTS: Final = 1_000_000_000
_TOO_MUCH: Final = -3  # as in cloud.h
_HIDDEN: Final = 2


@dataclass(frozen=True, slots=True)
class Box:
    """A box, its faces included; heights are unbounded where they aren't given."""

    west: float
    south: float
    east: float
    north: float
    low: float = -np.inf
    high: float = np.inf

    @classmethod
    def from_bbox(cls, bbox: tuple[float, ...]) -> Box:
        """From four or six numbers in the order of GeoJSON's ``bbox``."""
        if len(bbox) == 4:  # noqa: PLR2004 - west, south, east, north
            return cls(*bbox)
        west, south, low, east, north, high = bbox
        return cls(west, south, east, north, low, high)

    def contains(self, points: Points) -> _Flags:
        """Which points lie in it or on it."""
        x, y, z = points.T
        flags: _Flags = (self.west <= x) & (x <= self.east)
        flags &= (self.south <= y) & (y <= self.north)
        if self.low > -np.inf or self.high < np.inf:
            flags &= (self.low <= z) & (z <= self.high)
        return flags


def in_polygons(points: Points, polygons: Geometries) -> _Flags:
    """Which points lie in one of the polygons or on its edge; z decides nothing.

    Args:
        points: in the polygons' CRS; what isn't finite lies in none.
        polygons: valid Polygons and MultiPolygons; they may overlap.

    Raises:
        CloudError: the polygons have so many edges at the points' height that it would take long.
    """
    if not len(points) or not len(polygons):
        return np.zeros(len(points), dtype=np.bool_)
    test = _by_geos if lib is None else _by_edges
    finite = finite_rows(points)
    if finite is None:
        return test(points, polygons)
    finite[finite] = test(np.ascontiguousarray(points[finite]), polygons)
    return finite


def _by_edges(points: Points, polygons: Geometries) -> _Flags:
    parts, polygon = shapely.get_parts(polygons, return_index=True)
    filled = ~shapely.is_empty(parts)  # a part without vertices has no rings
    parts, polygon = parts[filled], polygon[filled]
    rings, part = shapely.get_rings(parts, return_index=True)
    vertices, ring = shapely.get_coordinates(rings, return_index=True)
    starts = np.searchsorted(ring, np.arange(len(rings) + 1)).astype(np.uint64)
    inside = np.empty(len(points), dtype=np.uint8)
    result = lib.gw_cloud_crop(
        buffer(ffi, "double", points),
        len(points),
        buffer(ffi, "double", vertices),
        len(vertices),
        buffer(ffi, "uint64_t", starts),
        buffer(ffi, "uint32_t", polygon[part].astype(np.uint32)),
        len(rings),
        _MOST_TESTS,
        buffer(ffi, "uint8_t", inside),
    )
    if result == _TOO_MUCH:
        raise CloudError(
            f"{len(points):,} points and {len(vertices):,} vertices of polygons are too many to"
            " crop by: thin the points first"
        )
    if result < 0:
        raise MemoryError
    hidden = np.flatnonzero(inside == _HIDDEN)
    inside[hidden] = _by_geos(points[hidden], polygons)
    return inside.view(np.bool_)


def _by_geos(points: Points, polygons: Geometries) -> _Flags:
    inside: _Flags = np.zeros(len(points), dtype=np.bool_)
    x, y = points[:, 0], points[:, 1]
    shapely.prepare(polygons)
    for polygon, (west, south, east, north) in zip(polygons, shapely.bounds(polygons), strict=True):
        near = ~inside & (west <= x) & (x <= east) & (south <= y) & (y <= north)
        some = np.flatnonzero(near)
        inside[some] = shapely.intersects_xy(polygon, x[some], y[some])
    return inside
