"""What a worker makes at its start, made for ``check``: the layers, and every step on them.

So ``check`` and ``run`` can't disagree: a field that no layer has or a module that can't be
imported stops ``run``, and is a fault with its place here.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from geoweir.core.spec import StepSpec, StreamSpec, WorkerSpec
from geoweir.errors import ConfigurationError, GeoweirError, WorkerError
from geoweir.settings.document import Document
from geoweir.settings.faults import Fault, KeyPath
from geoweir.settings.values import Settings
from geoweir.spatial.layer import Layer
from geoweir.spatial.raster.raster import Raster, load_raster
from geoweir.steps.catalogue import make_step
from geoweir.steps.chain import known_crs
from geoweir.steps.step import StepContext

__all__ = ["Tried", "try_worker"]

_REMEDY: Final = "Correct it."


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
            layers[spec.name] = layer = Layer.load(spec)
        except ConfigurationError as error:
            place = ("layers", spec.name, "path")
            tried.faults.append(_fault(document, place, "broken-file", error))
        else:
            repaired = f", {layer.repaired} repaired" if layer.repaired else ""
            tried.layers.append(f"read      {spec.name}: {len(layer)} features{repaired}")
    rasters = _try_rasters(settings, document, tried)
    worker = WorkerSpec(
        streams=settings.streams, layers=settings.layers, module_path=settings.module_path
    )
    crs = known_crs(worker, rasters)
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
    """Whether the layers and rasters that a step names are there."""
    layers = {step.options[key] for key in ("layer", "inside") if step.options.get(key)}
    rasters = {step.options["raster"]} if step.options.get("raster") else set()
    return layers <= context.layers.keys() and rasters <= context.rasters.keys()


def _place(stream: StreamSpec, number: int, step: StepSpec) -> KeyPath:
    return ("streams", stream.name, "steps", number, step.name)


def _fault(document: Document, place: KeyPath, code: str, error: GeoweirError) -> Fault:
    """A fault of an error whose text is what is wrong, and what to do."""
    text = str(error).removeprefix(f"{place[-1]}: ")  # the place has said so
    what, _, remedy = text.partition(". ")
    return document.fault(place, code, f"{what.removesuffix('.')}.", remedy or _REMEDY)
