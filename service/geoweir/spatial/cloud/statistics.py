"""Statistics of a cloud's heights, and how densely its points lie."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import numpy as np
import shapely

from geoweir.spatial.cloud.points import Points

__all__ = ["STATISTICS", "measured"]


def _area(points: Points) -> float:
    """Of the convex hull in x and y, in square units of the CRS."""
    if len(points) < 2:  # noqa: PLR2004 - the fewest of a line
        return 0.0
    line = shapely.linestrings(points[:, :2])  # one object; of points it would be one each
    return float(shapely.area(shapely.convex_hull(line)))


def _density(points: Points) -> float | None:
    area = _area(points)
    return len(points) / area if area > 0 else None


STATISTICS: Final[dict[str, Callable[[Points], float | None]]] = {
    "count": len,
    "min_z": lambda points: float(points[:, 2].min()),
    "max_z": lambda points: float(points[:, 2].max()),
    "mean_z": lambda points: float(points[:, 2].mean()),
    "std_z": lambda points: float(points[:, 2].std()),
    "median_z": lambda points: float(np.median(points[:, 2])),
    "p95_z": lambda points: float(np.percentile(points[:, 2], 95)),
    "area": _area,
    "density": _density,
}


def measured(points: Points, names: Iterable[str]) -> dict[str, float | None]:
    """Some of STATISTICS by name; of no points at all ``count`` is 0 and the others None."""
    if not len(points):
        return {name: 0 if name == "count" else None for name in names}
    return {name: STATISTICS[name](points) for name in names}
