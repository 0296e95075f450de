"""Polygons on a raster's grid: what both ways of finding their pixels start from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geoweir.spatial.ragged import Ragged
from geoweir.spatial.raster.grid import Grid
from geoweir.spatial.raster.pixels import Window

__all__ = ["Zones"]

_Geometries = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True, eq=False)
class Zones:
    """Polygons and multipolygons in pixels.

    Attributes:
        ragged: their rings; coordinates are columns and rows of the grid.
        boxes: f8 (features, 4): least column, least row, greatest column, greatest row; NaN
            without vertices.
        grid: the raster's.
    """

    ragged: Ragged
    boxes: npt.NDArray[np.float64]
    grid: Grid

    @classmethod
    def of(cls, geometries: _Geometries, grid: Grid) -> Zones:
        """Zones of polygons, multipolygons and None, in the raster's CRS and finite."""
        given = Ragged.from_shapely(geometries)
        xy = np.ascontiguousarray(grid.pixels(given.coordinates))
        ragged = Ragged(given.dimensions, given.features, given.parts, given.rings, xy)
        return cls(ragged, ragged.boxes(), grid)

    def __len__(self) -> int:
        return len(self.ragged)

    def window(self, feature: int) -> Window | None:
        """The part of the raster in which the feature's pixels are; None where there is none."""
        box = self.boxes[feature]
        if not np.isfinite(box).all():
            return None
        size = (self.grid.width, self.grid.height) * 2
        # One pixel more on each side: rounding may lead the walk along the outline there.
        extent = np.clip([*(np.floor(box[:2]) - 1), *(np.floor(box[2:]) + 2)], 0, size)
        left, top, right, bottom = extent.astype(np.int64).tolist()
        if left >= right or top >= bottom:
            return None
        return Window(left, top, right - left, bottom - top)
