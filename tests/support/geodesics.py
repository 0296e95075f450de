"""The nearest place of a layer by brute force: every segment, Karney's geodesics, no index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyproj
import shapely

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["GEOD", "nearest_by_brute_force", "segments_of"]

GEOD = pyproj.Geod(ellps="WGS84")
_Array = np.ndarray[Any, np.dtype[Any]]


def segments_of(geometries: _Array) -> tuple[_Array, _Array, _Array]:
    """Starts, ends and features of all segments; a point is one from itself to itself."""
    starts, ends, owner = [], [], []
    for feature, geometry in enumerate(geometries):
        if geometry is None:
            continue
        rings = [
            r
            for part in shapely.get_parts(geometry)
            for r in (shapely.get_rings(part) if part.area else [part])
        ]
        for ring in rings:
            places = shapely.get_coordinates(ring)
            starts.append(places[: max(len(places) - 1, 1)])
            ends.append(places[min(1, len(places) - 1) :])
            owner.append(np.full(len(starts[-1]), feature))
    return np.concatenate(starts), np.concatenate(ends), np.concatenate(owner)


def _metres(point: _Array, places: _Array) -> npt.NDArray[np.float64]:
    x, y = np.full(len(places), point[0]), np.full(len(places), point[1])
    return np.asarray(GEOD.inv(x, y, places[:, 0], places[:, 1])[2])


def nearest_by_brute_force(
    geometries: _Array, point: _Array, looks: int = 33
) -> tuple[float, set[int]]:
    """Metres to the nearest place, and the features that are so near to a hundredth of a mm.

    Along each segment that could hold it many places are measured, and those around the best again,
    until they are a micrometre apart.
    """
    starts, ends, owner = segments_of(geometries)
    lengths = GEOD.inv(*starts.T, *ends.T)[2]
    at_ends = np.minimum(_metres(point, starts), _metres(point, ends))
    near = np.flatnonzero(at_ends - lengths <= at_ends.min() + 1e-3)
    starts, ends, owner = starts[near], ends[near], owner[near]
    low, high = np.zeros(len(near)), np.ones(len(near))
    least = np.empty(0)
    for _ in range(12):
        shares = low + (high - low) * np.linspace(0, 1, looks)[:, None]
        places = starts + shares[:, :, None] * (ends - starts)
        metres = _metres(point, places.reshape(-1, 2)).reshape(looks, -1)
        best = metres.argmin(axis=0)
        row = np.arange(len(near))
        low, high = (
            shares[np.maximum(best - 1, 0), row],
            shares[np.minimum(best + 1, looks - 1), row],
        )
        least = metres.min(axis=0)
    return float(least.min()), set(owner[least <= least.min() + 1e-5].tolist())
