"""A raster's grid: where its pixels lie."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from geoweir.errors import ConfigurationError

__all__ = ["Grid"]

_LARGEST: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Grid:
    """Rows and columns on the ground; rotated and sheared ones too.

    Attributes:
        width: columns.
        height: rows.
        transform: (a, b, c, d, e, f) with x = a * column + b * row + c and
            y = d * column + e * row + f, as rasterio writes it; (0, 0) is the outer corner of the
            first pixel, so that centres lie at halves.
    """

    width: int
    height: int
    transform: tuple[float, float, float, float, float, float]

    def __post_init__(self) -> None:
        """Refuses what is no grid; ConfigurationError."""
        a, b, _, d, e, _ = self.transform
        is_grid = (
            0 < self.width <= _LARGEST
            and 0 < self.height <= _LARGEST
            and all(map(math.isfinite, self.transform))
            and math.isfinite(1 / (a * e - b * d or math.nan))
        )
        if not is_grid:
            raise ConfigurationError("its pixels lie on no grid. Write its transform anew.")

    @property
    def is_mirrored(self) -> bool:
        """Whether what turns left on the ground turns right in columns and rows, as is usual."""
        a, b, _, d, e, _ = self.transform
        return a * e - b * d < 0

    def pixels(self, xy: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Columns and rows, f8 (n, 2), of coordinates f8 (n, 2) in the raster's CRS.

        In GDAL's order of operations, so that what lies on a pixel's edge there does so here.
        """
        a, b, c, d, e, f = self.transform
        if b == 0 and d == 0:
            inverse = ((-c / a, 1 / a, 0.0), (-f / e, 0.0, 1 / e))
        else:
            scale = 1 / (a * e - b * d)
            inverse = (
                ((b * f - c * e) * scale, e * scale, -b * scale),
                ((c * d - a * f) * scale, -d * scale, a * scale),
            )
        found = np.empty_like(xy, dtype=np.float64)
        with np.errstate(invalid="ignore", over="ignore"):
            for axis, (start, by_x, by_y) in enumerate(inverse):
                found[:, axis] = start + xy[:, 0] * by_x + xy[:, 1] * by_y
        return found
