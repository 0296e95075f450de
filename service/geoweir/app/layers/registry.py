"""Layers and rasters of a service: opened once, handed to all workers, replaced on change."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import orjson

from geoweir.app.layers.compiler import CompileError, compile_sequence, compile_source
from geoweir.app.layers.live import LiveLayer
from geoweir.app.layers.opening import (
    Opened,
    Stamp,
    check_fit,
    open_descriptor,
    open_path,
    stamp_of,
)
from geoweir.core.spec import LayerSpec, RasterSpec, Reference, ReferenceKind, StreamSpec
from geoweir.errors import ConfigurationError
from geoweir.mqtt.inlet import MqttInlet
from geoweir.pool.shelf import Shelf, ShelfFile
from geoweir.ports import Outgoing
from geoweir.spatial.file.format import LayerFileError
from geoweir.telemetry import events

__all__ = ["Layers", "needed_fields"]

_COMPILED: Final[dict[ReferenceKind, str]] = {"layer": ".gwl", "raster": ".gwr"}
_KNOWN: Final = 4  # versions of one file that are remembered: tried ones and the one in use


@dataclass(slots=True)
class _Held:
    """One layer or raster as it is now."""

    spec: LayerSpec | RasterSpec
    needed: set[str] = field(default_factory=set)
    stamp: Stamp | None = None  # of the source, when it was last tried
    crs: str | None = None
    version: str = ""  # on the shelf
    sizes: dict[str, Mapping[str, int]] = field(default_factory=dict)  # by version

    @property
    def reference(self) -> Reference:
        return self.spec.reference

    @property
    def source(self) -> str:
        topic = self.spec.topic if isinstance(self.spec, LayerSpec) else ""
        return topic or Path(self.spec.path).name


class Layers:
    """Opens, watches and replaces layers and rasters; told by the shelf what workers do with them.

    Args:
        layers: those of the configuration.
        rasters: those of the configuration; what is read in parts is left to the workers.
        streams: whose steps use them.
        emit: for events.
        send: for the retained messages on what is in use.
        make_inlet: the subscription of a live layer; tells changes of the connection.
    """

    def __init__(
        self,
        layers: Sequence[LayerSpec],
        rasters: Sequence[RasterSpec],
        streams: Sequence[StreamSpec],
        *,
        emit: Callable[[events.Event], None],
        send: Callable[[Outgoing], None],
        make_inlet: Callable[[LayerSpec, Callable[[bool], None]], MqttInlet],
    ) -> None:
        needed = needed_fields(streams)
        held = [
            *(_Held(spec, needed.get(spec.name, set())) for spec in layers),
            *(_Held(spec) for spec in rasters if not spec.in_parts),
        ]
        self._held = {one.reference: one for one in held}
        self._emit = emit
        self._send = send
        self._make_inlet = make_inlet
        self._live: list[LiveLayer] = []
        self._hurry: set[asyncio.Event] = set()
        self.shelf = Shelf(self)

    async def start(self) -> None:
        """Opens every file; live layers are without a feature yet.

        Raises:
            ConfigurationError: one can't be used; one line.
        """
        for held in self._held.values():
            try:
                await self._open(held, is_first=True)
            except (LayerFileError, CompileError) as error:
                raise ConfigurationError(f"{held.reference}: {error}") from error

    async def run(self) -> None:
        """Watches files and topics until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for held in self._held.values():
                if isinstance(held.spec, LayerSpec) and held.spec.is_live:
                    live = self._make_live(held, held.spec)
                    self._live.append(live)
                    tasks.create_task(live.run(), name=str(held.reference))
                else:
                    tasks.create_task(self._watch(held), name=str(held.reference))

    async def first_sets(self) -> None:
        """Waits until what was retained at the start is in every live layer."""
        await asyncio.sleep(0)  # ``run`` has to come first
        for live in self._live:
            await live.first.wait()

    def look_now(self) -> None:
        """Looks at every file at once, instead of when it is due."""
        for event in self._hurry:
            event.set()

    def close(self) -> None:
        """Closes the files."""
        self.shelf.close()

    # What the shelf tells.

    def taken(self, reference: Reference, version: str) -> None:
        """A worker is the first to use this version."""
        held = self._held[reference]
        size = held.sizes.get(version, {})
        self._emit(events.ReferenceLoaded(reference=reference, version=version, size=size))
        body = {
            reference.kind: reference.name,
            "version": version,
            **size,
            "source": held.source,
            "since": time.time(),
        }
        self._send(
            Outgoing(
                f"geoweir/{reference.kind}s/{reference.name}",
                orjson.dumps(body),
                qos=1,
                retain=True,
                content_type="application/json",
            )
        )

    def refused(self, reference: Reference, version: str, why: str) -> None:
        """A worker can't use this version, and goes on with the one before."""
        self._emit(events.ReferenceFailed(reference=reference, why=f"version {version}: {why}"))
        files = self.shelf.files()
        before = next((file.version for file in files if file.reference == reference), "")
        self._held[reference].version = before

    # Files.

    async def _watch(self, held: _Held) -> None:
        hurry = asyncio.Event()
        self._hurry.add(hurry)
        while True:
            try:
                async with asyncio.timeout(held.spec.check_s):
                    await hurry.wait()
            except TimeoutError:
                pass
            hurry.clear()
            stamp = await asyncio.to_thread(stamp_of, held.spec.path)
            if stamp != held.stamp:
                await self._replace(held, stamp)

    async def _replace(self, held: _Held, stamp: Stamp | None) -> None:
        """Takes a changed file up, or says why not; a file is tried once as it is."""
        held.stamp = stamp
        try:
            await self._open(held)
        except (LayerFileError, CompileError) as error:
            self._fail(held, f"kept as it was: {error}")

    async def _open(self, held: _Held, *, is_first: bool = False) -> None:
        spec, kind = held.spec, held.reference.kind
        if isinstance(spec, LayerSpec) and spec.is_live:
            descriptor, _ = await compile_sequence(spec.live_crs, b"")
            self._put(held, await asyncio.to_thread(open_descriptor, descriptor, kind))
            return
        path = Path(spec.path)
        if path.suffix.lower() != _COMPILED[kind]:
            held.stamp = await asyncio.to_thread(stamp_of, path)
            self._emit(events.ReferenceCompiling(reference=held.reference, source=held.source))
            path = await compile_source(spec)
        opened = await asyncio.to_thread(open_path, path, kind, whole=not is_first)
        if spec.path == str(path):
            held.stamp = opened.stamp
        self._put(held, opened)

    def _put(self, held: _Held, opened: Opened) -> None:
        """Has workers take up an open file, if it fits; nothing happens if they have its like."""
        try:
            check_fit(opened, held.crs, held.needed)
        except LayerFileError:
            os.close(opened.descriptor)
            raise
        if opened.version == held.version:
            os.close(opened.descriptor)
            return
        held.crs, held.version = opened.crs, opened.version
        held.sizes[opened.version] = opened.size
        for old in list(held.sizes)[:-_KNOWN]:
            del held.sizes[old]
        self.shelf.put(ShelfFile(held.reference, opened.version, opened.descriptor))

    def _fail(self, held: _Held, why: str) -> None:
        self._emit(events.ReferenceFailed(reference=held.reference, why=why))

    # Topics.

    def _make_live(self, held: _Held, spec: LayerSpec) -> LiveLayer:
        async def take(descriptor: int) -> None:
            try:
                self._put(held, await asyncio.to_thread(open_descriptor, descriptor, "layer"))
            except LayerFileError as error:
                raise CompileError(str(error)) from error

        live: LiveLayer = LiveLayer(
            spec,
            held.needed,
            inlet=self._make_inlet(spec, lambda up: live.linked(up=up)),
            take=take,
            refuse=lambda topic, why: self._emit(
                events.FenceRefused(layer=spec.name, topic=topic, why=why)
            ),
            fail=lambda why: self._fail(held, why),
        )
        return live


def needed_fields(streams: Sequence[StreamSpec]) -> Mapping[str, set[str]]:
    """The fields of each layer that steps attach."""
    needed: dict[str, set[str]] = {}
    for stream in streams:
        for step in stream.steps:
            name = step.options.get("layer")
            if isinstance(name, str):
                needed.setdefault(name, set()).update(step.options.get("attach") or ())
    return {name: fields - {"id"} for name, fields in needed.items()}
