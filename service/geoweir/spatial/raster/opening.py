"""A raster of the configuration: as its compiled file, or as a GeoTIFF that is read in parts."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Final

from geoweir.core.spec import RasterSpec
from geoweir.errors import ConfigurationError
from geoweir.spatial.compiling.cache import COMPILED, cached
from geoweir.spatial.file.format import LayerFileError
from geoweir.spatial.file.opening import as_sentences, open_file
from geoweir.spatial.raster.compiling import compile_raster, compiled_bytes
from geoweir.spatial.raster.raster import Raster, load_tiff
from geoweir.spatial.raster.writing import Progress

__all__ = ["TIFF_SUFFIXES", "compiled", "load_raster"]

TIFF_SUFFIXES: Final = (".tif", ".tiff")

#: Goes up when equal GeoTIFFs shall be compiled anew: the content of the file has changed.
_EDITION: Final = 1


def compiled(
    spec: RasterSpec, *, beside: Path | None = None, progress: Progress | None = None
) -> Path:
    """The compiled file of a raster: the file that it names, or its GeoTIFF's in the cache.

    Args:
        spec: the raster.
        beside: a folder of the service's own to keep the cache in.
        progress: told how far it is, where there is something to compile.

    Raises:
        ConfigurationError: rasterio is missing, the GeoTIFF can't be used, or there is no room;
            one line.
    """
    source = Path(spec.path)
    if spec.path.lower().endswith(COMPILED["raster"]):
        return source

    def make(target: Path) -> None:
        try:
            if compiled_bytes(source) > shutil.disk_usage(target.parent).free:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # before it is all full
            compile_raster(source, target, spec.crs, progress)
        except ConfigurationError as error:
            raise ConfigurationError(f"raster file {source}: {error}") from error

    return cached("raster", source, (_EDITION, spec.crs), make, beside=beside)


def load_raster(spec: RasterSpec) -> Raster:
    """Opens a raster as workers have it, compiled first if need be.

    Raises:
        ConfigurationError: it can't be used; one line that names it.
    """
    if spec.in_parts:
        return load_tiff(spec)
    file = open_file(compiled(spec), "raster")
    try:
        return Raster.mapped(spec.name, file, spec.crs)
    except LayerFileError as error:
        raise ConfigurationError(f"raster file {spec.path}: {as_sentences(str(error))}") from error
