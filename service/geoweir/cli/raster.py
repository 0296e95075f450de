"""Rasters in ``geoweir compile`` and ``geoweir layer``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from geoweir.errors import ConfigurationError, UsageError

if TYPE_CHECKING:
    import argparse

    from geoweir.spatial.file.mapped import MappedFile

__all__ = ["cached", "compile_to", "is_raster", "refuse_options", "said"]

_SUFFIXES: Final = (".tif", ".tiff")
#: What only layers have, by the option's name in the arguments.
_OF_LAYERS: Final = ("id", "keep", "layer", "assume_crs")


def is_raster(source: str) -> bool:
    """Whether the source is a GeoTIFF, by its name."""
    return source.lower().endswith(_SUFFIXES)


def refuse_options(args: argparse.Namespace) -> None:
    """Raises UsageError for an option that a raster has no use for."""
    if args.crs is not None:
        raise UsageError(
            "a raster stays in its own CRS. Leave --crs out, or say by --source-crs what it is in."
        )
    for name in _OF_LAYERS:
        if getattr(args, name) is not None:
            option = f"--{name.replace('_', '-')}"
            raise UsageError(f"{option} is for layers, and this is a raster. Leave it out.")


def compile_to(source: str, target: Path | int, crs: str | None) -> str:
    """Compiles a GeoTIFF; what to print. ConfigurationError where it can't be used."""
    from geoweir.cli.progress import progress_for
    from geoweir.spatial.raster.compiling import compile_raster

    started = time.monotonic()
    try:
        with progress_for("compile") as progress:
            version = compile_raster(
                source, target, crs, progress=lambda share: progress.show(share, "pixels")
            )
    except ConfigurationError as error:
        raise ConfigurationError(f"raster file {source}: {error}") from error
    place = f"descriptor {target}" if isinstance(target, int) else str(target)
    return f"{place}: raster, version {version[:12]}, {time.monotonic() - started:.1f} s"


def cached(source: str, crs: str | None) -> Path:
    """The compiled form of a GeoTIFF in the cache, made as ``run`` does."""
    from geoweir.cli.progress import progress_for
    from geoweir.core.spec import RasterSpec
    from geoweir.spatial.raster.opening import compiled

    path = str(Path(source).absolute())
    with progress_for("compile") as progress:
        return compiled(
            RasterSpec(name=path, path=path, crs=crs),
            progress=lambda share: progress.show(share, "pixels"),
        )


def said(path: str, file: MappedFile) -> dict[str, Any]:
    """What a compiled raster says of itself; ConfigurationError where it is damaged."""
    from geoweir.spatial.file.format import FORMAT, LayerFileError
    from geoweir.spatial.file.opening import as_sentences
    from geoweir.spatial.raster.raster import Raster

    try:
        raster = Raster.mapped("raster", file)
    except LayerFileError as error:
        raise ConfigurationError(f"raster file {path}: {as_sentences(str(error))}") from error
    grid = raster.pixels.grid
    return {
        "file": path,
        "bytes": file.header.size,
        "format": FORMAT,
        "version": file.header.version,
        "crs": raster.crs,
        "width": grid.width,
        "height": grid.height,
        "transform": list(grid.transform),
        "source": file.meta.get("source"),
        "bands": [
            {
                "dtype": band.dtype,
                "nodata": band.nodata,
                "scale": band.scale,
                "offset": band.offset,
                "masked": band.is_masked,
            }
            for band in raster.pixels.bands
        ],
        "sections": {one.name: one.size for one in file.header.sections.values()},
    }
