"""A live layer: features that come as retained messages, compiled in batches while the rest runs.

A feature is known by its topic: a message replaces what the topic had, an empty one removes it.
What can't be used is refused by itself, and what its topic had before stays. When a connection
begins, the broker sends everything that it retains; what it no longer has then goes.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from geoweir.app.layers.compiler import CompileError, compile_sequence
from geoweir.app.layers.fences import FenceError, read_fence
from geoweir.core.lane import Batch, LaneOpened
from geoweir.core.spec import LayerSpec
from geoweir.mqtt.inlet import MqttInlet

__all__ = ["LiveLayer"]

#: A batch of changes is compiled when nothing came for so long, or has waited so long.
QUIET_S: Final = 0.2
BATCH_S: Final = 2.0
#: The broker has sent all that it retains when nothing came for so long: no message says so.
FIRST_QUIET_S: Final = 0.5
LATER_QUIET_S: Final = 2.0
#: Compiles of one batch in search of what can't be compiled; what is left then is refused whole.
_MOST_COMPILES: Final = 24

_Lines = dict[str, bytes]  # by topic
_Changes = dict[str, bytes | None]  # None: removed


class LiveLayer:
    """Keeps one live layer as it is at the broker.

    Args:
        spec: the layer.
        needed: fields that steps attach.
        inlet: its own subscription; ``linked`` is to be called with its changes.
        take: takes an open compiled file.
        refuse: told the topic of a message that can't be used, and why.
        fail: told that the layer itself could not be made.
    """

    def __init__(
        self,
        spec: LayerSpec,
        needed: Iterable[str],
        *,
        inlet: MqttInlet,
        take: Callable[[int], Awaitable[None]],
        refuse: Callable[[str, str], None],
        fail: Callable[[str], None],
    ) -> None:
        self._spec = spec
        self._needed = sorted(needed)
        self._inlet = inlet
        self._take = take
        self._refuse = refuse
        self._fail = fail
        self._lines: _Lines = {}  # what the layer holds
        self._sizes: dict[str, int] = {}  # bytes of each topic's message, held or waiting
        self._size = 0
        self._waiting: dict[str, bytes] = {}  # the latest message of each topic
        self._seen: set[str] | None = None  # topics of this connection, until it has sent all
        self._is_linked = False
        self._has_all = False  # a connection has sent all that is retained
        self._last = 0.0  # when something came, or the subscription stood
        self._wake = asyncio.Event()
        self._compiles = 0
        self.first = asyncio.Event()  # what the broker retained at the start is in the layer

    async def run(self) -> None:
        """Runs until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._inlet.run(), name=f"inlet of layer {self._spec.name}")
            tasks.create_task(self._listen(), name=f"messages of layer {self._spec.name}")
            tasks.create_task(self._keep(), name=f"changes of layer {self._spec.name}")

    def linked(self, *, up: bool) -> None:
        """The subscription stands, or is gone."""
        self._is_linked = up
        self._last = time.monotonic()
        self._wake.set()

    # What comes; nothing here is read yet.

    async def _listen(self) -> None:
        async for event in self._inlet.batches():
            if isinstance(event, Batch):
                for topic, payload in zip(event.addresses, event.payloads, strict=True):
                    self._arrived(topic, payload)
                self._inlet.settle(event.lane, event.epoch, event.first + len(event) - 1)
                self._last = time.monotonic()
                self._wake.set()
            elif isinstance(event, LaneOpened):
                self._seen = set()

    def _arrived(self, topic: str, payload: bytes) -> None:
        limits = self._spec.limits
        if self._seen is not None:
            self._seen.add(topic)
        before = self._sizes.get(topic)
        if len(payload) > limits.payload:
            why = f"it has {len(payload)} bytes, over the limit of {limits.payload}"
        elif payload and before is None and len(self._sizes) >= limits.features:
            why = f"the layer is full: {limits.features} features"
        elif self._size - (before or 0) + len(payload) > limits.total:
            why = f"the layer is full: {limits.total} bytes"
        else:
            self._note(topic, len(payload))
            self._waiting[topic] = payload
            return
        self._refuse(topic, why)

    def _note(self, topic: str, size: int) -> None:
        self._size += size - self._sizes.pop(topic, 0)
        if size:
            self._sizes[topic] = size

    # What becomes of it.

    async def _keep(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._until_quiet()
            began = time.monotonic()
            await self._apply(await self._changes())
            if self._seen is not None:  # the end of what is retained is still to be noticed
                asyncio.get_running_loop().call_later(QUIET_S, self._wake.set)
            # At most half of a processor, however fast changes come.
            await asyncio.sleep(min(time.monotonic() - began, BATCH_S))

    async def _until_quiet(self) -> None:
        """Waits until nothing more comes; a stream of changes is cut into batches."""
        deadline = time.monotonic() + BATCH_S
        while (left_s := min(self._last + QUIET_S, deadline) - time.monotonic()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(left_s)

    async def _changes(self) -> _Changes:
        """What came, read; and what is gone, when a new connection has told everything."""
        waiting, self._waiting = self._waiting, {}
        changes, refused = await asyncio.to_thread(self._read, waiting)
        self._refuse_all(refused)
        return changes | self._vanished()

    def _read(self, waiting: dict[str, bytes]) -> tuple[_Changes, dict[str, str]]:
        changes: _Changes = {}
        refused: dict[str, str] = {}
        for topic, payload in waiting.items():
            try:
                changes[topic] = (
                    read_fence(self._spec, topic, payload, self._needed) if payload else None
                )
            except FenceError as error:
                refused[topic] = str(error)
        return changes, refused

    def _vanished(self) -> _Changes:
        quiet_s = LATER_QUIET_S if self.first.is_set() else FIRST_QUIET_S
        if self._seen is None or not self._is_linked or self._waiting:
            return {}
        if time.monotonic() < self._last + quiet_s:
            return {}
        gone = self._sizes.keys() - self._seen
        self._seen, self._has_all = None, True
        for topic in gone:
            self._note(topic, 0)
        return dict.fromkeys(gone)

    async def _apply(self, changes: _Changes) -> None:
        real = {t: line for t, line in changes.items() if self._lines.get(t) != line}
        self._compiles = 0
        if real:
            await self._settle(real)
        if self._has_all:
            self.first.set()

    async def _settle(self, changes: _Changes) -> None:
        """Compiles with the changes; where that fails, in halves, so that one costs no other."""
        lines = {**self._lines, **changes}
        kept = {topic: line for topic, line in lines.items() if line is not None}
        self._compiles += 1
        try:
            refused = await self._compile(kept)
        except (CompileError, OSError) as error:
            if len(changes) > 1 and self._compiles < _MOST_COMPILES:
                topics = list(changes)
                for half in (topics[: len(topics) // 2], topics[len(topics) // 2 :]):
                    await self._settle({topic: changes[topic] for topic in half})
                return
            self._fail(str(error))
            self._refuse_all(dict.fromkeys(changes, str(error)))
            return
        if self._replaces(refused):
            self._refuse_all(refused)
            rest = {topic: line for topic, line in changes.items() if topic not in refused}
            if rest:
                await self._settle(rest)
        else:
            self._lines = {topic: line for topic, line in kept.items() if topic not in refused}
            self._refuse_all(refused)

    async def _compile(self, kept: _Lines) -> dict[str, str]:
        """Compiles and gives the layer on; why features are not in it, by topic.

        Where such a feature was to replace one that is to stay, the layer is thrown away.
        """
        sequence = b"\n".join(kept.values())
        descriptor, numbered = await compile_sequence(self._spec.live_crs, sequence)
        topics = list(kept)
        refused = {topics[number]: why for number, why in numbered.items()}
        if self._replaces(refused):
            os.close(descriptor)
        else:
            await self._take(descriptor)
        return refused

    def _replaces(self, refused: dict[str, str]) -> bool:
        return not self._lines.keys().isdisjoint(refused)

    def _refuse_all(self, refused: dict[str, str]) -> None:
        for topic, why in refused.items():
            self._keep_before(topic)
            self._refuse(topic, why)

    def _keep_before(self, topic: str) -> None:
        """Counts what the topic still has, if nothing newer waits."""
        if topic not in self._waiting:
            self._note(topic, len(self._lines.get(topic, b"")))
