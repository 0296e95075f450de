"""A GeoTIFF into its compiled form."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson

from geoweir.errors import ConfigurationError
from geoweir.spatial.crs import parse
from geoweir.spatial.file.writer import FileWriter
from geoweir.spatial.raster.band import Band
from geoweir.spatial.raster.compiled import TILE
from geoweir.spatial.raster.grid import Grid
from geoweir.spatial.raster.pixels import Window
from geoweir.spatial.raster.tiff import code_of, describe, opened, read_flags, read_values

__all__ = ["compile_raster", "compiled_bytes"]

#: The table of a file holds 62 sections: a band may need two, beside the description.
_MOST_BANDS: Final = 30
_Read = Callable[[Any, Window], npt.NDArray[Any]]


def compile_raster(
    source: str | Path,
    target: str | Path | int,
    crs: str | None = None,
    progress: Callable[[float], None] | None = None,
) -> str:
    """Writes a GeoTIFF's compiled form; one row of tiles is in memory at a time.

    Args:
        source: the GeoTIFF.
        target: a path, which is replaced at the end and not before, or an open descriptor.
        crs: what it is in, where the file doesn't say or says it wrongly.
        progress: told the part that is done, 0 to 1.

    Returns:
        The content's version.

    Raises:
        ConfigurationError: rasterio is missing, or the file can't be used; one line.
    """
    with contextlib.closing(opened(source)) as dataset:
        grid, bands = describe(dataset)
        if len(bands) > _MOST_BANDS:
            raise ConfigurationError(
                f"it has {len(bands)} bands, at most {_MOST_BANDS} can be compiled. Split it."
            )
        name = crs or code_of(dataset)
        parse(name)
        told = progress or _nobody
        sections = list(_sections(bands))
        with FileWriter(target, "raster") as file:
            file.add("meta", _meta(name, grid, bands, Path(source).name))
            for done, (section, dtype, read) in enumerate(sections):
                with file.section(section, dtype, TILE * TILE) as writer:
                    for top in range(0, grid.height, TILE):
                        writer.write(_tiles(read(dataset, _rows(top, grid))))
                        told((done + top / grid.height) / len(sections))
            return file.finish()


def compiled_bytes(source: str | Path) -> int:
    """About how large the compiled form of a GeoTIFF is; ConfigurationError as above."""
    with contextlib.closing(opened(source)) as dataset:
        grid, bands = describe(dataset)
    tiles = -(-grid.width // TILE) * -(-grid.height // TILE) * TILE * TILE
    return tiles * sum(np.dtype(band.dtype).itemsize + band.is_masked for band in bands)


def _sections(bands: tuple[Band, ...]) -> Iterator[tuple[str, str, _Read]]:
    """Name, type and reader of every section behind the description."""
    for number, band in enumerate(bands, 1):
        yield f"band{number}", band.dtype, partial(read_values, number=number)
        if band.is_masked:
            yield f"flags{number}", "u1", partial(read_flags, number=number)


def _rows(top: int, grid: Grid) -> Window:
    return Window(0, top, grid.width, min(TILE, grid.height - top))


def _tiles(plain: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A row of tiles, (tiles, TILE * TILE), filled up with zeros."""
    across = -(-plain.shape[1] // TILE)
    full = np.zeros((TILE, across * TILE), dtype=plain.dtype)
    full[: plain.shape[0], : plain.shape[1]] = plain
    return full.reshape(TILE, across, TILE).transpose(1, 0, 2).reshape(across, TILE * TILE)


def _meta(crs: str, grid: Grid, bands: tuple[Band, ...], source: str) -> npt.NDArray[np.uint8]:
    meta = {
        "crs": crs,
        "width": grid.width,
        "height": grid.height,
        "transform": grid.transform,
        "tile": TILE,
        "bands": [
            {
                "dtype": band.dtype,
                # JSON has no infinite numbers
                "nodata": None if band.nodata is None else repr(band.nodata),
                "scale": band.scale,
                "offset": band.offset,
                "masked": band.is_masked,
            }
            for band in bands
        ],
        "source": source,
    }
    return np.frombuffer(orjson.dumps(meta), dtype=np.uint8)


def _nobody(part: float) -> None:
    del part
