"""Thinning: one point for each voxel.

The voxels are cubes whose corners are multiples of their edge, in the CRS's units: they are the
same ones whatever the cloud, so that neighbouring clouds, cropped and whole ones are thinned alike.
The point nearest to a voxel's centre stands for it, of equally near ones that with the least x,
then y, then z: the same point in whatever order they come. Points that are equal in all three
are one point in any case; the first of them is taken.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from geoweir.spatial.cloud.points import SEED, Points, buffer, cell_numbers, checked
from geoweir.spatial.kernel.loaded import ffi, lib

__all__ = ["thinned"]

_Indices = npt.NDArray[np.intp]


def thinned(points: Points, size: float) -> _Indices:
    """Ascending indices of the points that stand for the voxels of edge ``size``.

    Raises:
        CloudError: so many voxels from zero that a double can't tell them apart.
    """
    return _by_sorting(points, size) if lib is None else _by_hashing(points, size)


def _by_hashing(points: Points, size: float) -> _Indices:
    keep = np.empty(len(points), dtype=np.uint8)
    result = lib.gw_cloud_voxels(
        buffer(ffi, "double", points), len(points), size, SEED, buffer(ffi, "uint8_t", keep)
    )
    checked(result, size)
    return np.flatnonzero(keep)


def _by_sorting(points: Points, size: float) -> _Indices:
    voxels = cell_numbers(points, size)
    offsets = points - (voxels + 0.5) * size
    squares = offsets * offsets
    distances = (squares[:, 0] + squares[:, 1]) + squares[:, 2]  # the kernel's order
    x, y, z = points.T
    order = np.lexsort((z, y, x, distances, voxels[:, 2], voxels[:, 1], voxels[:, 0]))
    is_first = np.ones(len(points), dtype=np.bool_)
    is_first[1:] = (voxels[order[1:]] != voxels[order[:-1]]).any(axis=1)
    return np.sort(order[is_first])
