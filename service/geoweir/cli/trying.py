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

import numpy as np

from geoweir.core.spec import LayerSpec, StepSpec, StreamSpec, WorkerSpec
from geoweir.errors import ConfigurationError, GeoweirError, WorkerError
from geoweir.settings.document import Document
from geoweir.settings.faults import Fault, KeyPath
from geoweir.settings.values import Settings
from geoweir.spatial.crs import KnownCrs
from geoweir.spatial.file.format import LayerFileError
from geoweir.spatial.file.mapped import MappedFile
from geoweir.spatial.layer import Layer
from geoweir.spatial.source import LayerSource
from geoweir.steps.catalogue import make_step
from geoweir.steps.chain import known_crs
from geoweir.steps.step import StepContext

__all__ = ["Tried", "try_worker"]

_REMEDY: Final = "Correct it."


@dataclass(frozen=True, slots=True)
class Tried:
    """What was read, a line for each layer, and what a worker could not have made."""

    layers: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


def try_worker(settings: Settings, document: Document) -> Tried:
    """Reads every layer and makes every step; the users' modules are imported for it."""
    tried = Tried()
    layers: dict[str, Layer] = {}
    for spec in settings.layers:
        try:
            layers[spec.name] = layer = _layer(spec)
        except (ConfigurationError, LayerFileError, OSError) as error:
            place = ("layers", spec.name, "path")
            tried.faults.append(_fault(document, place, "broken-file", error))
        else:
            if spec.is_live:
                continue
            repaired = f", {layer.repaired} repaired" if layer.repaired else ""
            tried.layers.append(f"read      {spec.name}: {len(layer.ids)} features{repaired}")
    worker = WorkerSpec(
        streams=settings.streams, layers=settings.layers, module_path=settings.module_path
    )
    crs = known_crs(worker, layers)
    for stream in settings.streams:
        tried.faults.extend(_try_steps(stream, worker, layers, crs, document))
    return tried


def _layer(spec: LayerSpec) -> Layer:
    """The layer as a worker would have it at the start: a live one is still empty."""
    if spec.is_live:
        return Layer.build(spec.name, spec.crs, LayerSource([], [], np.empty(0, dtype=object), 0))
    if spec.path.lower().endswith(".gwl"):
        return Layer.open(spec.name, MappedFile.open(spec.path))
    return Layer.load(spec)


def _try_steps(
    stream: StreamSpec,
    worker: WorkerSpec,
    layers: dict[str, Layer],
    crs: KnownCrs,
    document: Document,
) -> Iterator[Fault]:
    context = StepContext(stream=stream, layers=layers, crs=crs, module_path=worker.module_path)
    for number, step in enumerate(stream.steps):
        if not _wanted(step) <= layers.keys():
            continue  # its layer has a fault of its own
        try:
            # What a module says while it is imported is no part of our answer.
            with contextlib.redirect_stdout(sys.stderr):
                make_step(step, context)
        except ConfigurationError as error:
            yield _fault(document, _place(stream, number, step), "unknown-name", error)
        except WorkerError as error:
            yield _fault(document, _place(stream, number, step), "broken-module", error)


def _wanted(step: StepSpec) -> set[str]:
    """The layers that a step names."""
    return {step.options[key] for key in ("layer", "inside") if step.options.get(key)}


def _place(stream: StreamSpec, number: int, step: StepSpec) -> KeyPath:
    return ("streams", stream.name, "steps", number, step.name)


def _fault(document: Document, place: KeyPath, code: str, error: GeoweirError | OSError) -> Fault:
    """A fault of an error whose text is what is wrong, and what to do."""
    text = str(error).removeprefix(f"{place[-1]}: ")  # the place has said so
    what, _, remedy = text.partition(". ")
    return document.fault(place, code, f"{what.removesuffix('.')}.", remedy or _REMEDY)
