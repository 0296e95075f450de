"""The compiled form of a raster (``.gwr``): mapped, shared by all workers, read without GDAL.

meta          JSON: crs, width, height, transform, tile, bands, source
band1 …       each band's numbers: a row per tile of ``tile`` x ``tile``, tiles from left to
              right and top to bottom, so that what is near on the ground is near in the file;
              tiles over the raster's edge are filled up with zeros
flags1 …      u1, as the band's: 0 where there is no value (only where the source has a mask)
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from geoweir.errors import ConfigurationError
from geoweir.spatial.file.format import LayerFileError
from geoweir.spatial.file.mapped import MappedFile
from geoweir.spatial.raster.band import DTYPES, Band
from geoweir.spatial.raster.grid import Grid
from geoweir.spatial.raster.pixels import Block, Window

__all__ = ["TILE", "MappedPixels", "read_grid"]

#: 64 x 64 numbers: 4 to 32 KB, one to eight pages.
TILE: Final = 64
_COEFFICIENTS: Final = 6


class MappedPixels:
    """The numbers of a compiled raster, in the file."""

    def __init__(self, file: MappedFile) -> None:
        """Checks the description against the sections.

        Raises:
            LayerFileError: it is no compiled raster, or not one that makes sense.
        """
        if file.header.kind != "raster":
            raise LayerFileError("it holds no raster: give it to layers")
        self.grid = read_grid(file.meta)
        self.bands = _read_bands(file.meta)
        self._down, self._across = -(-self.grid.height // TILE), -(-self.grid.width // TILE)
        self._stored = [
            self._section(file, f"band{number}", band.dtype)
            for number, band in enumerate(self.bands, 1)
        ]
        self._flags = [
            self._section(file, f"flags{number}", "u1") if band.is_masked else None
            for number, band in enumerate(self.bands, 1)
        ]

    def at(
        self, band: int, rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint8] | None]:
        """See Pixels."""
        tile = (rows // TILE) * self._across + columns // TILE
        within = (rows % TILE) * TILE + columns % TILE
        flags = self._flags[band]
        return self._stored[band][tile, within], None if flags is None else flags[tile, within]

    def window(self, band: int, window: Window) -> Block:
        """See Pixels."""
        flags = self._flags[band]
        return Block(
            window,
            self._plain(self._stored[band], window),
            None if flags is None else self._plain(flags, window),
            (window.height, window.width),
        )

    def whole(self, band: int) -> Block:
        """See Pixels."""
        window = Window(0, 0, self.grid.width, self.grid.height)
        return Block(window, self._stored[band], self._flags[band], (TILE, TILE))

    def _plain(self, tiles: npt.NDArray[Any], window: Window) -> npt.NDArray[Any]:
        top, left = window.top // TILE, window.left // TILE
        bottom = -(-(window.top + window.height) // TILE)
        right = -(-(window.left + window.width) // TILE)
        chosen = tiles.reshape(self._down, self._across, TILE, TILE)[top:bottom, left:right]
        plain = chosen.transpose(0, 2, 1, 3).reshape((bottom - top) * TILE, (right - left) * TILE)
        rows = slice(window.top - top * TILE, window.top - top * TILE + window.height)
        columns = slice(window.left - left * TILE, window.left - left * TILE + window.width)
        return np.ascontiguousarray(plain[rows, columns])

    def _section(self, file: MappedFile, name: str, dtype: str) -> npt.NDArray[Any]:
        tiles = file.array(name, dtype, TILE * TILE)
        if len(tiles) != self._down * self._across:
            raise LayerFileError(
                f"its section {name} has {len(tiles):,} tiles and should have "
                f"{self._down * self._across:,}: compile it again"
            )
        if tiles.size:
            file.advise(name, "random")
        return tiles


def read_grid(meta: dict[str, Any]) -> Grid:
    """The grid of a description; LayerFileError where it is none."""
    width, height, transform = (meta.get(key) for key in ("width", "height", "transform"))
    is_sound = (
        type(width) is type(height) is int
        and isinstance(transform, list)
        and len(transform) == _COEFFICIENTS
        and all(type(one) in {int, float} for one in transform)
        and meta.get("tile") == TILE
    )
    if not is_sound:
        raise _damaged()
    a, b, c, d, e, f = map(float, transform or ())
    try:
        return Grid(width or 0, height or 0, (a, b, c, d, e, f))
    except ConfigurationError as error:
        raise _damaged() from error


def _read_bands(meta: dict[str, Any]) -> tuple[Band, ...]:
    bands = meta.get("bands")
    if not isinstance(bands, list) or not bands:
        raise _damaged()
    return tuple(map(_read_band, bands))


def _read_band(given: object) -> Band:
    if not isinstance(given, dict) or given.get("dtype") not in DTYPES:
        raise _damaged()
    try:
        band = Band(
            dtype=given["dtype"],
            nodata=None if given["nodata"] is None else float(given["nodata"]),
            scale=float(given["scale"]),
            offset=float(given["offset"]),
            is_masked=given["masked"] is True,
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise _damaged() from error
    if not math.isfinite(band.scale) or not math.isfinite(band.offset):
        raise _damaged()
    return band


def _damaged() -> LayerFileError:
    return LayerFileError("its description is damaged: compile it again")
