"""A layer of the configuration as its compiled file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from geoweir.core.spec import LayerSpec
from geoweir.errors import ConfigurationError
from geoweir.spatial.compiling.cache import compiled
from geoweir.spatial.file.mapped import MappedFile
from geoweir.spatial.layerfile import open_layer

__all__ = ["opened_layer", "resolved"]


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
