"""From a source to a layer file."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from geoweir.errors import ConfigurationError
from geoweir.spatial.compiling.build import LayerBuilder
from geoweir.spatial.compiling.clean import KINDS, Cleaner, Kind, Repair
from geoweir.spatial.crs import Crs, parse
from geoweir.spatial.sources.batch import Batch, Selection, fault
from geoweir.spatial.sources.opening import STANDARD_INPUT, opened

__all__ = ["LEAST_MEMORY", "Compiled", "Options", "Progress", "Report", "compile_layer"]

#: Called with a feature's id, what became of it, why, and its number in the source from 0.
Report = Callable[[str, Kind, str, int], None]
#: Called now and then with the share of the source that was read, or None, and the features.
Progress = Callable[[float | None, int], None]

_WORLD: Final = "EPSG:4326"
#: What the process has before the first feature: Python, numpy, GEOS, PROJ.
_BASE: Final = 130_000_000
LEAST_MEMORY: Final = 200_000_000
_BATCH_SHARE: Final = 40  # a feature as Python objects takes that many times its text
_LARGEST_BATCH: Final = 4_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a layer is made.

    Attributes:
        crs: the layer's; None: the source's where that has an EPSG code, else EPSG:4326.
        source_crs: what the source's coordinates are in; None: what it says, else ``assumed_crs``.
        assumed_crs: what they are in where the source says nothing.
        id_field: the property that becomes the id; None: the feature's id, its property ``id``, or
            its number from 1.
        keep: the properties that are kept; None: all.
        table: the layer of a source of several.
        repair: GEOS's method for invalid geometries, or ``none``: they are refused.
        strict: whether anything that had to be done to a feature is an error.
        memory: bytes that the process may take.
    """

    crs: str | None = None
    source_crs: str | None = None
    assumed_crs: str = _WORLD
    id_field: str | None = None
    keep: tuple[str, ...] | None = None
    table: str | None = None
    repair: Repair = "structure"
    strict: bool = False
    memory: int = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Compiled:
    """What was made."""

    version: str
    crs: str
    features: int
    counts: Counter[Kind]
    spilled: int  # bytes in temporary files


def compile_layer(
    source: str,
    target: Path | int,
    options: Options,
    *,
    report: Report = lambda *_: None,
    progress: Progress = lambda *_: None,
) -> Compiled:
    """Reads a source and writes the layer; ``target`` is as it was where that fails.

    Args:
        source: a path, or ``-`` for a GeoJSON text sequence on standard input.
        target: a path, or a descriptor of a file that can be read and written.
        options: see there.
        report: is told of every feature that isn't in the layer just as it stood.
        progress: is told how far it is.

    Raises:
        ConfigurationError: the source is damaged, a name is unknown, or ``strict`` refuses; one
            line that says where, what, and what to do.
        OSError: the target can't be written.
    """
    for name in (options.crs, options.source_crs, options.assumed_crs):
        if name is not None:
            parse(name)
    memory = max(options.memory - _BASE, LEAST_MEMORY - _BASE)
    selection = Selection(
        id_field=options.id_field,
        keep=options.keep,
        table=options.table,
        batch_bytes=min(memory // _BATCH_SHARE, _LARGEST_BATCH),
    )
    folder = _folder(target)
    with opened(source, selection) as reader, closing(LayerBuilder(folder, memory)) as builder:
        given: Crs = options.source_crs or reader.crs or options.assumed_crs
        crs = options.crs or (given if isinstance(given, str) else _WORLD)
        job = _Job(source, Cleaner(given, crs, options.repair), builder, report)
        for batch in reader.batches():
            job.take(batch)
            progress(reader.fraction, builder.count)
        job.check(options)
        progress(1.0, builder.count)
        meta: dict[str, Any] = {kind: job.counts[kind] for kind in KINDS}
        meta["source"] = _shown(source)
        version = builder.write(target, meta, crs)
        return Compiled(version, crs, builder.count, job.counts, builder.spilled)


class _Job:
    """Takes batches to the builder, and keeps count of what was found."""

    def __init__(
        self, source: str, cleaner: Cleaner, builder: LayerBuilder, report: Report
    ) -> None:
        self._source = source
        self._cleaner = cleaner
        self._builder = builder
        self._report = report
        self._without_id = 0
        self._read = 0
        self.counts: Counter[Kind] = Counter()

    def take(self, batch: Batch) -> None:
        ragged, found = self._cleaner.clean(batch.geometries)
        self._read += len(batch.ids)
        ids = [
            str(batch.first + place) if ident is None else ident
            for place, ident in enumerate(batch.ids, start=1)
        ]

        def say(place: int, kind: Kind, reason: str) -> None:
            self.counts[kind] += 1
            self._report(ids[place], kind, reason, batch.first + place)

        for place, ident in enumerate(batch.ids):
            if ident is None:
                self._without_id += 1
                say(place, "noted", "it has no such property: its number is its id")
        for place in batch.mended:
            say(place, "repaired", "rings closed or, without an area, left out")
        for place, reason in batch.unread.items():
            say(place, "refused", reason)
        for one in found:
            say(one.position, one.kind, one.reason)
        refused = {one.position for one in found if one.kind == "refused"} | batch.unread.keys()
        some = [place for place in range(len(ids)) if place not in refused]
        if refused:
            ragged = ragged.take(np.array(some, dtype=np.intp))
        rows = [batch.rows[place] for place in some]
        self._builder.add([ids[place] for place in some], rows, ragged)

    def check(self, options: Options) -> None:
        """Whether the names that were given mean something, and whether ``strict`` is content."""
        known = ", ".join(self._builder.fields[:20]) or "none"
        if options.id_field is not None and self._read and self._without_id == self._read:
            what = f"no feature has a property {options.id_field!r} for the id"
            raise fault(self._source, what, f"Properties: {known}")
        for name in options.keep or ():
            if self._builder.count and name not in self._builder.fields:
                raise fault(self._source, f"no feature has the property {name!r}", "Correct --keep")
        if options.strict and self.counts:
            said = ", ".join(f"{count} {kind}" for kind, count in sorted(self.counts.items()))
            raise ConfigurationError(
                f"{self._source}: {said}; --strict takes features only as they stand. "
                "Correct them, or leave --strict out."
            )


def _folder(target: Path | int) -> Path:
    """Where temporary files go: beside the target, where there will be room for it."""
    if isinstance(target, int) or not os.access(target.parent, os.W_OK):
        return Path(tempfile.gettempdir())
    return target.parent


def _shown(source: str) -> str:
    return "standard input" if source == STANDARD_INPUT else Path(source).name
