"""A small height raster made of a cloud."""

from __future__ import annotations

from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from geoweir.spatial.cloud.points import CloudError, Points, cell_numbers

__all__ = ["Value", "gridded"]

Value = Literal["max", "min", "mean", "count"]
_Column = npt.NDArray[np.float64]

_STARTS: Final = {"max": -np.inf, "min": np.inf}


def gridded(points: Points, cell: float, value: Value, most: int) -> dict[str, Any]:
    """The cloud as a raster of square cells, as JSON.

    ``origin`` is the north-west corner of the first cell; ``values`` go from there eastwards, row
    by row southwards. Corners of cells are multiples of their edge, so that rasters of
    neighbouring clouds fit together; a point on an edge counts for the cell east or north of it.
    A cell without points is None, with ``count`` 0.

    Args:
        points: the cloud.
        cell: edge of a cell in units of the CRS.
        value: what a cell holds of the z of its points, or their number.
        most: cells that are allowed.

    Raises:
        CloudError: the raster would have more cells, or a double can't tell them apart.
    """
    if not len(points):
        return _raster(0, 0, None, cell, value, [])
    east, north = cell_numbers(points[:, :2], cell).T
    west, top = int(east.min()), int(north.max())
    columns, rows = int(east.max()) - west + 1, top - int(north.min()) + 1
    if columns * rows > most:
        raise CloudError(
            f"the grid would have {rows:,} rows of {columns:,} cells, and {most:,} cells are"
            " allowed"
        )
    index = (top - north) * columns + (east - west)
    values = _valued(index, points[:, 2], rows * columns, value)
    origin = [west * cell, (top + 1) * cell]
    return _raster(rows, columns, origin, cell, value, values)


def _valued(index: npt.NDArray[np.int64], z: _Column, cells: int, value: Value) -> list[Any]:
    counts = np.bincount(index, minlength=cells)
    if value == "count":
        return list(counts.tolist())
    if value == "mean":
        sums = np.bincount(index, weights=z, minlength=cells)
        values = sums / np.maximum(counts, 1)
    else:
        values = np.full(cells, _STARTS[value])
        (np.maximum if value == "max" else np.minimum).at(values, index, z)
    filled = (counts > 0).tolist()
    return [one if has else None for one, has in zip(values.tolist(), filled, strict=True)]


def _raster(
    rows: int, columns: int, origin: list[float] | None, cell: float, value: str, values: list[Any]
) -> dict[str, Any]:
    return {
        "rows": rows,
        "columns": columns,
        "origin": origin,
        "cell": cell,
        "value": value,
        "values": values,
    }
