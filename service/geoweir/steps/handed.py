"""What a worker makes of the files that it is handed: layers, rasters, and the chains on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from geoweir.core.spec import Reference, WorkerSpec
from geoweir.spatial.file.advice import advice_for
from geoweir.spatial.file.mapped import MappedFile
from geoweir.spatial.layer import Layer
from geoweir.spatial.raster.raster import Raster
from geoweir.steps import chain

__all__ = ["chains", "open_reference"]


def open_reference(spec: WorkerSpec, reference: Reference, descriptor: int) -> Layer | Raster:
    """The layer or raster in an open file; LayerFileError where there is none."""
    file = MappedFile(descriptor)
    if reference.kind == "layer":
        return Layer.open(reference.name, file, advice_for(file.header.size, spec.room))
    crs = next((one.crs for one in spec.rasters if one.name == reference.name), None)
    return Raster.mapped(reference.name, file, crs)


def chains(spec: WorkerSpec, held: Mapping[Reference, Layer | Raster]) -> Sequence[chain.Chain]:
    """See ``chain.chains``."""
    layers = {one.name: value for one, value in held.items() if isinstance(value, Layer)}
    rasters = {one.name: value for one, value in held.items() if isinstance(value, Raster)}
    return chain.chains(spec, layers, rasters)
