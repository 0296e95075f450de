"""Small compiled rasters without GDAL."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from geoweir.spatial.file.mapped import MappedFile
from geoweir.spatial.file.writer import FileWriter
from geoweir.spatial.raster.compiled import TILE
from geoweir.spatial.raster.raster import Raster

__all__ = ["raster", "write_raster"]


def write_raster(
    target: Path | int,
    values: npt.NDArray[Any],
    transform: tuple[float, ...],
    crs: str = "EPSG:4326",
    flags: npt.NDArray[np.uint8] | None = None,
    **band: object,
) -> None:
    """Writes one band of (rows, columns), north up; ``flags`` are 0 where there is no value."""
    height, width = values.shape
    described: Mapping[str, object] = {
        "dtype": values.dtype.str.replace("|", ""),
        "nodata": None,
        "scale": 1.0,
        "offset": 0.0,
        "masked": flags is not None,
    }
    meta = {
        "crs": crs,
        "width": width,
        "height": height,
        "transform": transform,
        "tile": TILE,
        "bands": [{**described, **band}],
        "source": "made",
    }
    with FileWriter(target, "raster") as file:
        file.add("meta", np.frombuffer(orjson.dumps(meta), dtype=np.uint8))
        file.add("band1", _tiles(values))
        if flags is not None:
            file.add("flags1", _tiles(flags))
        file.finish()


def raster(
    values: npt.NDArray[Any], transform: tuple[float, ...], name: str = "dem", **described: Any
) -> Raster:
    """An open one, in memory."""
    descriptor = os.memfd_create(name)
    try:
        write_raster(descriptor, values, transform, **described)
        return Raster.mapped(name, MappedFile(descriptor))
    finally:
        os.close(descriptor)


def _tiles(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    down, across = (-(-length // TILE) for length in values.shape)
    full = np.zeros((down * TILE, across * TILE), dtype=values.dtype)
    full[: values.shape[0], : values.shape[1]] = values
    tiles = full.reshape(down, TILE, across, TILE).transpose(0, 2, 1, 3)
    return tiles.reshape(down * across, TILE * TILE)
