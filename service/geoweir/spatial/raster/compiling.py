"""A GeoTIFF into its compiled form."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np

from geoweir.spatial.raster.compiled import TILE
from geoweir.spatial.raster.tiff import code_of, describe, opened, read_flags, read_values
from geoweir.spatial.raster.writing import Progress, RasterSource, write_raster

__all__ = ["compile_raster", "compiled_bytes"]


def compile_raster(
    source: str | Path,
    target: str | Path | int,
    crs: str | None = None,
    progress: Progress | None = None,
) -> str:
    """Writes a GeoTIFF's compiled form; the content's version. See ``write_raster``.

    Args:
        source: the GeoTIFF.
        target: a path, which is replaced at the end and not before, or an open descriptor.
        crs: what it is in, where the file doesn't say or says it wrongly.
        progress: told how far it is.

    Raises:
        ConfigurationError: rasterio is missing, or the file can't be used; one line.
    """
    with contextlib.closing(opened(source)) as dataset:
        grid, bands = describe(dataset)
        raster = RasterSource(
            crs=crs or code_of(dataset),
            grid=grid,
            bands=bands,
            stored=lambda band, window: read_values(dataset, window, band + 1),
            flags=lambda band, window: read_flags(dataset, window, band + 1),
            name=Path(source).name,
        )
        return write_raster(target, raster, progress)


def compiled_bytes(source: str | Path) -> int:
    """About how large the compiled form of a GeoTIFF is; ConfigurationError as above."""
    with contextlib.closing(opened(source)) as dataset:
        grid, bands = describe(dataset)
    tiles = -(-grid.width // TILE) * -(-grid.height // TILE)
    return tiles * TILE * TILE * sum(np.dtype(one.dtype).itemsize + one.is_masked for one in bands)
