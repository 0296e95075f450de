"""How often the segments of a geometry meet: what its repair costs, known before it begins."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import shapely

__all__ = ["crossings"]

_POLYGON: Final = 3
_FIRST_COLLECTION: Final = 4  # of GEOS's type ids
_ROWS: Final = 64  # segments that are compared with all others at once
_Points = npt.NDArray[np.float64]


def crossings(geometry: shapely.Geometry, most: int) -> int:
    """Pairs of polygon segments that cross or touch, beyond each with its neighbours.

    Tested by orientation, each segment with every other: n² steps and no more memory than 64 n, so
    bound the vertices first. Counting ends soon after ``most``.
    """
    begin, end = _segments(geometry)
    low, high = np.minimum(begin, end), np.maximum(begin, end)
    found, count = 0, len(begin)
    for at in range(0, count, _ROWS):
        rows = slice(at, at + _ROWS)
        p, q = begin[rows, None], end[rows, None]
        is_near = ((low[rows, None] <= high) & (high[rows, None] >= low)).all(axis=2)
        meets = (_side(p, q, begin) * _side(p, q, end) <= 0) & (
            _side(begin, end, p) * _side(begin, end, q) <= 0
        )
        found += int((is_near & meets).sum())
        if found > 2 * most + 3 * count:
            break
    # Every pair was met twice, each segment met itself once, and its two neighbours.
    return max(0, (found - 3 * count) // 2)


def _segments(geometry: shapely.Geometry) -> tuple[_Points, _Points]:
    """Begin and end of each segment of each ring: f8 (n, 2)."""
    parts = np.array([geometry], dtype=object)
    while (shapely.get_type_id(parts) >= _FIRST_COLLECTION).any():
        parts = shapely.get_parts(parts)
    rings = shapely.get_rings(parts[shapely.get_type_id(parts) == _POLYGON])
    points, owner = shapely.get_coordinates(rings, return_index=True)
    is_one = owner[1:] == owner[:-1]
    return points[:-1][is_one], points[1:][is_one]


def _side(begin: _Points, end: _Points, point: _Points) -> _Points:
    """On which side of a line a point lies: the sign of the cross product."""
    along, towards = end - begin, point - begin
    side: _Points = along[..., 0] * towards[..., 1] - along[..., 1] * towards[..., 0]
    return side
