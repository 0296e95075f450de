"""Values at points."""

from __future__ import annotations

from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from geoweir.spatial.raster.pixels import Pixels

__all__ = ["Method", "stored_at"]

Method = Literal["nearest", "bilinear"]
_Numbers = npt.NDArray[np.float64]
_Flags = npt.NDArray[np.bool_]
#: The four pixels around a point: rows and columns from the upper left one.
_AROUND: Final = ((0, 0), (0, 1), (1, 0), (1, 1))


def stored_at(pixels: Pixels, band: int, places: _Numbers, method: Method) -> _Numbers:
    """Stored numbers at places, f8 (n,); NaN where there is no value.

    ``nearest`` is the pixel that the place lies in; its left and upper edge belong to it. So
    what lies on the raster's right or lower edge is outside.
    ``bilinear`` weighs the four pixels whose centres are around the place by nearness. Those
    without a value, and those outside the raster, are left out and the others' weights add up to
    one; where the pixel that the place lies in has no value there is none. This is the rule of
    GDAL's warper: an area without values neither grows nor shrinks.

    Args:
        pixels: the raster's.
        band: from 0.
        places: columns and rows, f8 (n, 2), as ``Grid.pixels`` gives them.
        method: which of the two.
    """
    found, valid = _numbers(pixels, band, np.floor(places))
    if method == "bilinear" and valid.any():
        found[valid] = _weighed(pixels, band, places[valid])
    return found


def _weighed(pixels: Pixels, band: int, places: _Numbers) -> _Numbers:
    """``bilinear`` at places that each lie in a pixel with a value."""
    corners = np.floor(places - 0.5)
    right, lower = (places - 0.5 - corners).T
    total, weights = np.zeros((2, len(places)))
    for down, across in _AROUND:
        numbers, valid = _numbers(pixels, band, corners + np.array([across, down]))
        weight = (right if across else 1 - right) * (lower if down else 1 - lower)
        with np.errstate(invalid="ignore"):  # an infinite number by none of its weight
            total[valid] += numbers[valid] * weight[valid]
        weights[valid] += weight[valid]
    return np.asarray(total / weights)


def _numbers(pixels: Pixels, band: int, cells: _Numbers) -> tuple[_Numbers, _Flags]:
    """Numbers of whole columns and rows, NaN where there is no value, and where there is one."""
    grid = pixels.grid
    columns, rows = cells[:, 0], cells[:, 1]
    inside = (columns >= 0) & (columns < grid.width) & (rows >= 0) & (rows < grid.height)
    valid, numbers = inside.copy(), np.full(len(cells), np.nan)
    if inside.any():
        stored: npt.NDArray[Any]
        stored, flags = pixels.at(
            band, rows[inside].astype(np.int64), columns[inside].astype(np.int64)
        )
        valid[inside] = pixels.bands[band].valid(stored, flags)
        numbers[inside] = stored
        numbers[~valid] = np.nan
    return numbers, valid
