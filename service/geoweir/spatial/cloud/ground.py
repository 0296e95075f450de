"""What heights are measured from: the lowest point of a point's own cell."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from geoweir.spatial.cloud.points import SEED, Points, buffer, cell_numbers, checked
from geoweir.spatial.kernel.loaded import ffi, lib

__all__ = ["lowest"]

_Column = npt.NDArray[np.float64]


def lowest(points: Points, size: float) -> _Column:
    """For each point the least z in its square cell of edge ``size``.

    Corners of cells are multiples of their edge.

    Raises:
        CloudError: so many cells from zero that a double can't tell them apart.
    """
    if lib is None:
        return _by_sorting(points, size)
    ground = np.empty(len(points))
    result = lib.gw_cloud_lowest(
        buffer(ffi, "double", points), len(points), size, SEED, buffer(ffi, "double", ground)
    )
    checked(result, size)
    return ground


def _by_sorting(points: Points, size: float) -> _Column:
    if not len(points):
        return np.empty(0)
    cells = cell_numbers(points[:, :2], size)
    order = np.lexsort((cells[:, 1], cells[:, 0]))
    is_first = np.ones(len(points), dtype=np.bool_)
    is_first[1:] = (cells[order[1:]] != cells[order[:-1]]).any(axis=1)
    least = np.minimum.reduceat(points[order, 2], np.flatnonzero(is_first))
    ground = np.empty(len(points))
    ground[order] = least[np.cumsum(is_first) - 1]
    return ground
