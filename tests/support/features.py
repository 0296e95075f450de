"""Features of a chunk without a decoder, for tests of single steps."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from geoweir.codec.column import GeometryColumn
from geoweir.codec.features import Features
from geoweir.core.spec import StreamSpec
from geoweir.spatial.crs import KnownCrs
from geoweir.spatial.file.mapped import MappedFile
from geoweir.spatial.layer import Layer
from geoweir.spatial.layerfile import LayerFeatures, write_layer
from geoweir.spatial.raster.raster import Raster
from geoweir.steps.step import StepContext

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["context", "features", "layer", "objects"]


def objects(values: Sequence[object]) -> np.ndarray[Any, np.dtype[np.object_]]:
    """A one-dimensional object array; text is read as WKT."""
    array = np.empty(len(values), dtype=object)
    array[:] = [shapely.from_wkt(value) if isinstance(value, str) else value for value in values]
    return array


def features(
    geometries: Sequence[object],
    properties: Sequence[dict[str, Any]] | None = None,
    crs: str = "EPSG:4326",
) -> Features:
    """One feature per geometry (shapely, WKT or None), each of an input of its own."""
    count = len(geometries)
    ids = [f"f{number}" for number in range(count)]
    return Features(
        inputs=np.arange(count, dtype=np.int32),
        ids=ids,
        id_literals=[f'"{name}"'.encode() for name in ids],
        times=[None] * count,
        column=GeometryColumn(objects=objects(geometries)),
        properties=[{} for _ in ids] if properties is None else [dict(p) for p in properties],
        crs=crs,
        errors=[None] * count,
        filtered=[None] * count,
        repaired=[None] * count,
    )


def layer(
    geometries: Sequence[object],
    properties: Sequence[dict[str, Any]] | None = None,
    name: str = "zones",
    crs: str = "EPSG:4326",
) -> Layer:
    """A layer with ids z0, z1 and so on."""
    columns = [{} for _ in geometries] if properties is None else list(properties)
    ids = [f"z{number}" for number in range(len(geometries))]
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC)
    try:
        write_layer(descriptor, crs, LayerFeatures(ids, columns, objects(geometries)), name)
        return Layer.open(name, MappedFile(descriptor))
    finally:
        os.close(descriptor)


def context(
    layers: Mapping[str, Layer] | None = None,
    crs: Sequence[str] = ("EPSG:4326", "EPSG:3857", "EPSG:32633"),
    module_path: str | None = None,
    rasters: Mapping[str, Raster] | None = None,
) -> StepContext:
    """What a step is told."""
    return StepContext(
        stream=StreamSpec(name="s", subscribe=("in/#",)),
        layers=layers or {},
        rasters=rasters or {},
        crs=KnownCrs(crs),
        module_path=module_path,
    )
