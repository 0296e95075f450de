"""Where the numbers of a raster come from: a mapped file, or a GeoTIFF read tile by tile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from geoweir.spatial.raster.band import Band
from geoweir.spatial.raster.grid import Grid

__all__ = ["Block", "Pixels", "Window"]

_Indices = npt.NDArray[np.int64]
_Stored = npt.NDArray[Any]
_Flags = npt.NDArray[np.uint8] | None


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of pixels: columns from ``left``, rows from ``top``."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """The stored numbers of a window, in tiles.

    Attributes:
        window: what they cover.
        stored: the numbers, contiguous: tiles from left to right and top to bottom, each of
            ``tile`` (height, width), row by row; one tile of the window's size is a plain array.
        flags: u1, as ``stored``: 0 where there is no value; None where nothing is masked.
        tile: height and width of a tile.
    """

    window: Window
    stored: _Stored
    flags: _Flags
    tile: tuple[int, int]


class Pixels(Protocol):
    """The stored numbers of a raster."""

    @property
    def grid(self) -> Grid:
        """Where the pixels lie."""
        ...

    @property
    def bands(self) -> tuple[Band, ...]:
        """What the bands hold, from band 1."""
        ...

    def at(self, band: int, rows: _Indices, columns: _Indices) -> tuple[_Stored, _Flags]:
        """The numbers of single pixels, which must lie in the raster, and their flags.

        Args:
            band: from 0.
            rows: int64 (n,).
            columns: int64 (n,).
        """
        ...

    def window(self, band: int, window: Window) -> Block:
        """A window that lies in the raster, as one tile."""
        ...

    def whole(self, band: int) -> Block | None:
        """The whole raster without reading it, where it is mapped."""
        ...
