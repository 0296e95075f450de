"""The layers of a service: opened once, handed to all workers, replaced when they change."""

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
from geoweir.core.spec import LayerSpec, StreamSpec
from geoweir.errors import ConfigurationError
from geoweir.mqtt.inlet import MqttInlet
from geoweir.pool.shelf import Shelf, ShelfFile
from geoweir.ports import Outgoing
from geoweir.spatial.file.format import LayerFileError
from geoweir.telemetry import events

__all__ = ["Layers", "needed_fields"]

_COMPILED: Final = ".gwl"
_KNOWN: Final = 4  # versions of one layer that are remembered: tried ones and the one in use


@dataclass(slots=True)
class _Layer:
    """One layer as it is now."""

    spec: LayerSpec
    needed: set[str]
    stamp: Stamp | None = None  # of the source, when it was last tried
    crs: str | None = None
    version: str = ""  # on the shelf
    features: dict[str, int] = field(default_factory=dict)  # by version

    @property
    def source(self) -> str:
        return self.spec.topic or Path(self.spec.path).name


class Layers:
    """Opens, watches and replaces layers; told by the shelf what workers do with them.

    Args:
        specs: the layers of the configuration.
        streams: whose steps use them.
        emit: for events.
        send: for the retained messages on what is in use.
        make_inlet: the subscription of a live layer; tells changes of the connection.
    """

    def __init__(
        self,
        specs: Sequence[LayerSpec],
        streams: Sequence[StreamSpec],
        *,
        emit: Callable[[events.Event], None],
        send: Callable[[Outgoing], None],
        make_inlet: Callable[[LayerSpec, Callable[[bool], None]], MqttInlet],
    ) -> None:
        needed = needed_fields(streams)
        self._layers = {spec.name: _Layer(spec, needed.get(spec.name, set())) for spec in specs}
        self._emit = emit
        self._send = send
        self._make_inlet = make_inlet
        self._live: list[LiveLayer] = []
        self._hurry: set[asyncio.Event] = set()
        self.shelf = Shelf(self)

    async def start(self) -> None:
        """Opens every layer, live ones without a feature yet.

        Raises:
            ConfigurationError: one can't be used; one line.
        """
        for layer in self._layers.values():
            try:
                await self._open(layer, is_first=True)
            except (LayerFileError, CompileError) as error:
                raise ConfigurationError(f"layer {layer.spec.name}: {error}") from error

    async def run(self) -> None:
        """Watches files and topics until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for layer in self._layers.values():
                name = f"layer {layer.spec.name}"
                if layer.spec.is_live:
                    live = self._make_live(layer)
                    self._live.append(live)
                    tasks.create_task(live.run(), name=name)
                else:
                    tasks.create_task(self._watch(layer), name=name)

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

    def taken(self, name: str, version: str) -> None:
        """A worker is the first to use this version."""
        layer = self._layers[name]
        features = layer.features.get(version, 0)
        self._emit(events.LayerLoaded(layer=name, version=version, features=features))
        body = {
            "layer": name,
            "version": version,
            "features": features,
            "source": layer.source,
            "since": time.time(),
        }
        self._send(
            Outgoing(
                f"geoweir/layers/{name}",
                orjson.dumps(body),
                qos=1,
                retain=True,
                content_type="application/json",
            )
        )

    def refused(self, name: str, version: str, why: str) -> None:
        """A worker can't use this version, and goes on with the one before."""
        self._emit(events.LayerFailed(layer=name, why=f"version {version}: {why}"))
        layer = self._layers[name]
        layer.version = next((f.version for f in self.shelf.files() if f.name == name), "")

    # Files.

    async def _watch(self, layer: _Layer) -> None:
        hurry = asyncio.Event()
        self._hurry.add(hurry)
        while True:
            try:
                async with asyncio.timeout(layer.spec.check_s):
                    await hurry.wait()
            except TimeoutError:
                pass
            hurry.clear()
            stamp = await asyncio.to_thread(stamp_of, layer.spec.path)
            if stamp != layer.stamp:
                await self._replace(layer, stamp)

    async def _replace(self, layer: _Layer, stamp: Stamp | None) -> None:
        """Takes a changed file up, or says why not; a file is tried once as it is."""
        layer.stamp = stamp
        try:
            await self._open(layer)
        except (LayerFileError, CompileError) as error:
            self._emit(events.LayerFailed(layer=layer.spec.name, why=f"kept as it was: {error}"))

    async def _open(self, layer: _Layer, *, is_first: bool = False) -> None:
        spec = layer.spec
        if spec.is_live:
            descriptor, _ = await compile_sequence(spec.live_crs, b"")
            self._put(layer, await asyncio.to_thread(open_descriptor, descriptor))
            return
        path = Path(spec.path)
        if path.suffix.lower() != _COMPILED:
            layer.stamp = await asyncio.to_thread(stamp_of, path)
            self._emit(events.LayerCompiling(layer=spec.name, source=layer.source))
            path = await compile_source(spec)
        opened = await asyncio.to_thread(open_path, path, whole=not is_first)
        if spec.path == str(path):
            layer.stamp = opened.stamp
        self._put(layer, opened)

    def _put(self, layer: _Layer, opened: Opened) -> None:
        """Has workers take up an open file, if it fits; nothing happens if they have its like."""
        try:
            check_fit(opened, layer.crs, layer.needed)
        except LayerFileError:
            os.close(opened.descriptor)
            raise
        if opened.version == layer.version:
            os.close(opened.descriptor)
            return
        layer.crs, layer.version = opened.crs, opened.version
        layer.features[opened.version] = opened.features
        for old in list(layer.features)[:-_KNOWN]:
            del layer.features[old]
        self.shelf.put(ShelfFile(layer.spec.name, opened.version, opened.descriptor))

    # Topics.

    def _make_live(self, layer: _Layer) -> LiveLayer:
        spec = layer.spec

        async def take(descriptor: int) -> None:
            try:
                self._put(layer, await asyncio.to_thread(open_descriptor, descriptor))
            except LayerFileError as error:
                raise CompileError(str(error)) from error

        live: LiveLayer = LiveLayer(
            spec,
            layer.needed,
            inlet=self._make_inlet(spec, lambda up: live.linked(up=up)),
            take=take,
            refuse=lambda topic, why: self._emit(
                events.FenceRefused(layer=spec.name, topic=topic, why=why)
            ),
            fail=lambda why: self._emit(events.LayerFailed(layer=spec.name, why=why)),
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
