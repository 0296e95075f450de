"""Writing a compiled raster; ``compiled.py`` says what it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
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

__all__ = ["Progress", "RasterSource", "write_raster"]

#: Told the part that is done, 0 to 1.
Progress = Callable[[float], None]
#: The table of a file holds 62 sections: a band may need two, beside the description.
_MOST_BANDS: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class RasterSource:
    """A raster to be written.

    Attributes:
        crs: an authority and a code.
        grid: where its pixels lie.
        bands: what they hold.
        stored: the numbers of a band, from 0, in a window: (rows, columns).
        flags: u1 likewise, 0 where there is no value; asked of masked bands only.
        name: of where it comes from, for people.
    """

    crs: str
    grid: Grid
    bands: Sequence[Band]
    stored: Callable[[int, Window], npt.NDArray[Any]]
    flags: Callable[[int, Window], npt.NDArray[Any]]
    name: str


def write_raster(
    target: str | Path | int, source: RasterSource, progress: Progress | None = None
) -> str:
    """Writes a compiled raster, one row of tiles in memory at a time; the content's version.

    Args:
        target: a path, which is replaced at the end and not before, or an open descriptor.
        source: what is written.
        progress: told how far it is.

    Raises:
        ConfigurationError: there are too many bands, or PROJ doesn't know the CRS.
    """
    if len(source.bands) > _MOST_BANDS:
        count = len(source.bands)
        raise ConfigurationError(f"it has {count} bands, at most {_MOST_BANDS} go. Split it.")
    parse(source.crs)
    sections = list(_sections(source.bands))
    with FileWriter(target, "raster") as file:
        file.add("meta", _meta(source))
        for done, (name, dtype, band) in enumerate(sections):
            read = source.flags if name.startswith("flags") else source.stored
            with file.section(name, dtype, TILE * TILE) as section:
                for top in range(0, source.grid.height, TILE):
                    section.write(_tiles(read(band, _rows(top, source.grid))))
                    if progress is not None:
                        progress((done + top / source.grid.height) / len(sections))
        return file.finish()


def _sections(bands: Sequence[Band]) -> Iterator[tuple[str, str, int]]:
    """Name, type and band of every section behind the description."""
    for index, band in enumerate(bands):
        yield f"band{index + 1}", band.dtype, index
        if band.is_masked:
            yield f"flags{index + 1}", "u1", index


def _rows(top: int, grid: Grid) -> Window:
    return Window(0, top, grid.width, min(TILE, grid.height - top))


def _tiles(plain: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A row of tiles, (tiles, TILE * TILE), filled up with zeros."""
    across = -(-plain.shape[1] // TILE)
    full = np.zeros((TILE, across * TILE), dtype=plain.dtype)
    full[: plain.shape[0], : plain.shape[1]] = plain
    return full.reshape(TILE, across, TILE).transpose(1, 0, 2).reshape(across, TILE * TILE)


def _meta(source: RasterSource) -> npt.NDArray[np.uint8]:
    meta = {
        "crs": source.crs,
        "width": source.grid.width,
        "height": source.grid.height,
        "transform": source.grid.transform,
        "tile": TILE,
        "bands": [
            {
                "dtype": band.dtype,
                # as text: JSON has no infinite numbers
                "nodata": None if band.nodata is None else repr(band.nodata),
                "scale": band.scale,
                "offset": band.offset,
                "masked": band.is_masked,
            }
            for band in source.bands
        ],
        "source": source.name,
    }
    return np.frombuffer(orjson.dumps(meta), dtype=np.uint8)
