"""What a worker makes at its start, made for ``check``: the layers, and every step on them.

So ``check`` and ``run`` can't disagree: a field that no layer has or a module that can't be
imported stops ``run``, and is a fault with its place here.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from geoweir.core.spec import LayerSpec, StepSpec, StreamSpec, WorkerSpec
from geoweir.errors import ConfigurationError, GeoweirError, WorkerError
from geoweir.settings.document import Document
from geoweir.settings.faults import Fault, KeyPath
from geoweir.settings.values import Settings
from geoweir.spatial.compiling.clean import KINDS
from geoweir.spatial.compiling.opening import opened_layer
from geoweir.spatial.crs import parse
from geoweir.spatial.file.mapped import MappedFile
from geoweir.spatial.kernel.loaded import has_kernel
from geoweir.spatial.layer import Layer
from geoweir.spatial.layerfile import LayerFeatures, write_layer
from geoweir.spatial.raster.opening import load_raster
from geoweir.spatial.raster.raster import Raster
from geoweir.steps.catalogue import make_step
from geoweir.steps.chain import known_crs
from geoweir.steps.step import StepContext

__all__ = ["Tried", "try_worker"]

_REMEDY: Final = "Correct it."
_NO_KERNEL: Final = "no C kernel: shapely's STRtree answers, with the same results; slower"


@dataclass(frozen=True, slots=True)
class Tried:
    """What was read, a line for each layer and raster, and what a worker could not have made."""

    layers: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


def try_worker(settings: Settings, document: Document) -> Tried:
    """Opens every layer and raster, makes every step; the users' modules are imported for it."""
    tried = Tried()
    layers: dict[str, Layer] = {}
    for spec in settings.layers:
        try:
            if spec.is_live:
                layers[spec.name] = _empty(spec)
                continue
            file = opened_layer(spec)
            parse(file.meta["crs"])
            layers[spec.name] = Layer.load(spec)
        except ConfigurationError as error:
            place = ("layers", spec.name, "path")
            tried.faults.append(_fault(document, place, "broken-file", error))
        else:
            tried.layers.append(f"read      {spec.name}: {_described(file)}")
    if settings.layers and not has_kernel():
        tried.layers.append(_NO_KERNEL)
    rasters = _try_rasters(settings, document, tried)
    worker = WorkerSpec(
        streams=settings.streams, layers=settings.layers, module_path=settings.module_path
    )
    crs = known_crs(worker, layers, rasters)
    for stream in settings.streams:
        context = StepContext(
            stream=stream,
            layers=layers,
            rasters=rasters,
            crs=crs,
            module_path=settings.module_path,
        )
        tried.faults.extend(_try_steps(context, document))
    return tried


def _described(file: MappedFile) -> str:
    """What a layer's file says of itself: numbers, CRS, version, and what was done to features."""
    meta = file.meta
    done = "".join(f", {meta[kind]} {kind}" for kind in KINDS if meta.get(kind))
    version = file.header.version[:12]
    return f"{meta.get('features')} features, {meta['crs']}, version {version}{done}"


def _empty(spec: LayerSpec) -> Layer:
    """A live layer as a worker has it before the first feature."""
    nothing = LayerFeatures([], [], np.empty(0, dtype=object))
    descriptor = os.memfd_create(spec.name, os.MFD_CLOEXEC)
    try:
        write_layer(descriptor, spec.live_crs, nothing, spec.topic)
        return Layer.open(spec.name, MappedFile(descriptor))
    finally:
        os.close(descriptor)


def _try_rasters(settings: Settings, document: Document, tried: Tried) -> dict[str, Raster]:
    rasters = {}
    for spec in settings.rasters:
        try:
            rasters[spec.name] = raster = load_raster(spec)
        except ConfigurationError as error:
            place = ("rasters", spec.name, "path")
            tried.faults.append(_fault(document, place, "broken-file", error))
        else:
            tried.layers.append(f"open      {spec.name}: {raster.described()}")
    return rasters


def _try_steps(context: StepContext, document: Document) -> Iterator[Fault]:
    stream = context.stream
    for number, step in enumerate(stream.steps):
        if not _is_whole(step, context):
            continue  # its layer or raster has a fault of its own
        try:
            # What a module says while it is imported is no part of our answer.
            with contextlib.redirect_stdout(sys.stderr):
                make_step(step, context)
        except ConfigurationError as error:
            yield _fault(document, _place(stream, number, step), "unknown-name", error)
        except WorkerError as error:
            yield _fault(document, _place(stream, number, step), "broken-module", error)


def _is_whole(step: StepSpec, context: StepContext) -> bool:
    """Whether the layer and the raster that a step names are there."""
    has_layer = step.layer is None or step.layer in context.layers
    return has_layer and (step.raster is None or step.raster in context.rasters)


def _place(stream: StreamSpec, number: int, step: StepSpec) -> KeyPath:
    return ("streams", stream.name, "steps", number, step.name)


def _fault(document: Document, place: KeyPath, code: str, error: GeoweirError | OSError) -> Fault:
    """A fault of an error whose text is what is wrong, and what to do."""
    text = str(error).removeprefix(f"{place[-1]}: ")  # the place has said so
    what, _, remedy = text.partition(". ")
    return document.fault(place, code, f"{what.removesuffix('.')}.", remedy or _REMEDY)
