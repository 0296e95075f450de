"""Rasters made of arrays, for tests; no GDAL is needed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from geoweir.spatial.file.mapped import MappedFile
from geoweir.spatial.raster.band import Band
from geoweir.spatial.raster.grid import Grid
from geoweir.spatial.raster.pixels import Window
from geoweir.spatial.raster.raster import Raster
from geoweir.spatial.raster.writing import RasterSource, write_raster

__all__ = ["NORTH_UP", "PLAIN", "mapped", "write"]

Transform = tuple[float, float, float, float, float, float]
#: Coordinates are columns and rows.
PLAIN: Transform = (1, 0, 0, 0, 1, 0)
#: Pixels of a quarter degree from 10 E, 50 N.
NORTH_UP: Transform = (0.25, 0, 10, 0, -0.25, 50)


def write(
    target: Path | int,
    *bands: np.ndarray[Any, Any],
    transform: Transform = PLAIN,
    crs: str = "EPSG:4326",
    flags: Sequence[np.ndarray[Any, Any]] = (),
    **meaning: Any,
) -> str:
    """Writes a compiled raster of arrays (rows, columns) of one type; its version."""
    height, width = bands[0].shape
    dtype = bands[0].dtype.newbyteorder("<").str.replace("|", "")

    def part(arrays: Sequence[np.ndarray[Any, Any]], band: int, window: Window) -> Any:
        rows = slice(window.top, window.top + window.height)
        return arrays[band][rows, window.left : window.left + window.width]

    source = RasterSource(
        crs=crs,
        grid=Grid(width, height, transform),
        bands=[Band(dtype, is_masked=bool(flags), **meaning) for _ in bands],
        stored=lambda band, window: part(bands, band, window),
        flags=lambda band, window: part(flags, band, window),
        name="test",
    )
    return write_raster(target, source)


def mapped(*bands: np.ndarray[Any, Any], name: str = "dem", **given: Any) -> Raster:
    """A compiled raster of arrays, in memory; see ``write``."""
    descriptor = os.memfd_create("raster")
    try:
        write(descriptor, *bands, **given)
        return Raster.mapped(name, MappedFile(descriptor))
    finally:
        os.close(descriptor)
