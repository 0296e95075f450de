"""A layer of the configuration as its compiled file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from geoweir.core.spec import LayerSpec
from geoweir.errors import ConfigurationError
from geoweir.spatial.compiling.cache import COMPILED, cached
from geoweir.spatial.compiling.compile import Options, Progress, Report, compile_layer
from geoweir.spatial.file.mapped import MappedFile
from geoweir.spatial.kernel.loaded import has_kernel
from geoweir.spatial.layerfile import open_layer

__all__ = ["compiled", "opened_layer", "options_of", "resolved"]

#: Goes up when equal sources shall be compiled anew: the content of the file has changed.
_EDITION: Final = 2


def compiled(
    spec: LayerSpec,
    *,
    beside: Path | None = None,
    report: Report = lambda *_: None,
    progress: Progress = lambda *_: None,
) -> Path:
    """The layer file of a layer: the file that it names, or its source's in the cache.

    Args:
        spec: the layer.
        beside: a folder of the service's own to keep the cache in.
        report: as in ``compile_layer``; called only where there is something to compile.
        progress: likewise.

    Raises:
        ConfigurationError: the source is damaged, or there is no room; one line.
    """
    source = Path(spec.path)
    if spec.path.lower().endswith(COMPILED["layer"]):
        return source

    def make(target: Path) -> None:
        compile_layer(spec.path, target, options_of(spec), report=report, progress=progress)

    how = (_EDITION, has_kernel(), spec.crs, spec.id, spec.keep)
    return cached("layer", source, how, make, files=_files(source), beside=beside)


def options_of(spec: LayerSpec) -> Options:
    """How a layer of the configuration is compiled.

    Coordinates of a source that doesn't name its CRS are taken to be in the layer's.
    """
    assumed = Options().assumed_crs if spec.crs is None else spec.crs
    return Options(crs=spec.crs, assumed_crs=assumed, id_field=spec.id, keep=spec.keep)


def _files(source: Path) -> list[Path]:
    """What a source consists of: a file, a folder's, or a Shapefile with what belongs to it."""
    if source.is_dir():
        return sorted(path for path in source.rglob("*") if path.is_file())
    if source.suffix.lower() == ".shp":
        return sorted(path for path in source.parent.glob(f"{source.stem}.*") if path.is_file())
    return [source]


def opened_layer(spec: LayerSpec, beside: Path | None = None) -> MappedFile:
    """The file of a layer, compiled if need be.

    Raises:
        ConfigurationError: it can't be compiled or opened, or is in another CRS than the
            configuration says; one line.
    """
    file = open_layer(compiled(spec, beside=beside))
    crs = file.meta["crs"]
    if spec.crs is not None and crs != spec.crs:
        raise ConfigurationError(
            f"layer file {spec.path}: it is in {crs}, not in {spec.crs}. "
            "Correct the layer's crs, or leave it out."
        )
    return file


def resolved(spec: LayerSpec) -> LayerSpec:
    """The layer as one whose file is compiled and whose CRS is known; errors as above."""
    file = opened_layer(spec)
    return replace(spec, path=str(compiled(spec)), crs=str(file.meta["crs"]), id=None, keep=None)
