"""A raster of the configuration: as its compiled file, or as a GeoTIFF that is read in parts."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from geoweir.core.spec import RasterSpec
from geoweir.errors import ConfigurationError
from geoweir.spatial.compiling.cache import COMPILED, cached
from geoweir.spatial.file.format import LayerFileError
from geoweir.spatial.file.mapped import MappedFile
from geoweir.spatial.raster.compiling import compile_raster
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
    path = compiled(spec)
    try:
        return Raster.mapped(spec.name, MappedFile.open(path), spec.crs)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise ConfigurationError(f"raster file {spec.path}: {why}.") from error
    except LayerFileError as error:
        raise ConfigurationError(f"raster file {spec.path}: {error}") from error
