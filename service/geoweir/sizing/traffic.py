"""Feeder and listener: what devices and consumers of the service would be, in this process.

Both are the package's own ports. A result is told by the digest at the end of its key, which names
the topic and payload of its input; so the latency of every single input is known, whatever the
steps make of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Sequence
from typing import Final

from geoweir.codec.key import input_digest
from geoweir.core.lane import Batch
from geoweir.errors import BrokerError
from geoweir.mqtt.inlet import MqttInlet
from geoweir.mqtt.options import BrokerOptions
from geoweir.mqtt.outlet import MqttOutlet
from geoweir.ports import Refusal
from geoweir.sizing.flow import Flow
from geoweir.sizing.mix import Mix

__all__ = ["Traffic", "opened"]

#: The end of a result's key: of an input of many features, only the first one counts.
_DIGEST: Final = re.compile(rb':([0-9a-f]{16})(?::0)?"\}\}')
_BATCH: Final = 64  # inputs handed over at once
_WINDOW: Final = 1000  # publishes under way
_LISTENING: Final = 20_000  # results not yet taken
_TICK_S: Final = 0.001
_LINK_S: Final = 10.0


class Traffic:
    """Sends inputs and counts results.

    Args:
        options: the broker.
        mix: what is sent.
        filters: where results come.
        is_direct: there is no service between: what comes is what was sent.
    """

    def __init__(
        self, options: BrokerOptions, mix: Mix, filters: Sequence[str], *, is_direct: bool = False
    ) -> None:
        self.flow = Flow(mix.mean_bytes)
        self.refusals: list[str] = []
        self._mix = mix
        self._is_direct = is_direct
        self._sent_at: defaultdict[str, deque[float]] = defaultdict(deque)
        self._latencies: list[float] | None = None
        self._came = asyncio.Event()
        self._feeder_up, self._listener_up = _Link("feeder"), _Link("listener")
        self._outlet = MqttOutlet(
            client_id="geoweir-bench-feeder",
            options=options,
            window=_WINDOW,
            on_link=self._feeder_up,
        )
        self._inlet = MqttInlet(
            lane="results",
            client_id="geoweir-bench-listener",
            options=options,
            filters=list(dict.fromkeys(filters)),
            qos=1,
            window=_LISTENING,
            window_bytes=64_000_000,
            on_link=self._listener_up,
            session_expiry_s=0,
        )

    # Feeding.

    async def saturate(self, seconds: float) -> None:
        """Keeps as much under way as the flow allows."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            room = self.flow.room()
            if room:
                self._send(min(room, _BATCH))
                await asyncio.sleep(0)
                continue
            self._came.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._came.wait()

    async def pace(self, rate: float, seconds: float) -> None:
        """Sends at an even rate; what can't be sent in time is not made up for."""
        begin = time.monotonic()
        sent = 0
        while (elapsed := time.monotonic() - begin) < seconds:
            due = int(elapsed * rate) + 1 - sent
            self._send(min(due, _BATCH))
            sent += max(due, 0)
            await asyncio.sleep(max(_TICK_S, sent / rate - (time.monotonic() - begin)))

    def _send(self, count: int) -> None:
        if count <= 0:
            return
        messages, arrivals = self._mix.take(count, time.time())
        self.flow.caused += len(messages) if self._is_direct else arrivals
        if self._latencies is not None:
            now = time.monotonic()
            for message in messages:
                self._sent_at[input_digest(message.topic, message.payload)].append(now)
        self._outlet.send(messages).add_done_callback(self._answered)

    def _answered(self, answers: asyncio.Future[list[Refusal | None]]) -> None:
        if not answers.cancelled():
            self.refusals += [one.text for one in answers.result() if one is not None][:1]

    # Listening.

    def record(self) -> None:
        """Measures latencies from now on."""
        self._sent_at.clear()
        self._latencies = []

    def latencies(self) -> list[float]:
        """The seconds from sending to the result since ``record``, which ends."""
        found, self._latencies = self._latencies or [], None
        self._sent_at.clear()
        return found

    def wake(self) -> None:
        """The flow was told something: there may be room."""
        self._came.set()

    async def _listen(self) -> None:
        async for event in self._inlet.batches():
            if isinstance(event, Batch):
                self._inlet.settle(event.lane, event.epoch, event.first + len(event) - 1)
                self._take(event.payloads)
                self._came.set()

    def _take(self, payloads: Sequence[bytes]) -> None:
        if self._is_direct:
            self.flow.saw(len(payloads))
            return
        now = time.monotonic()
        for payload in payloads:
            digests = _DIGEST.findall(payload)
            self.flow.saw(len(digests))
            if self._latencies is not None:
                for digest in digests:
                    if waiting := self._sent_at.get(digest.decode()):
                        self._latencies.append(now - waiting.popleft())

    # The connections.

    async def run(self) -> None:
        """Feeds and listens until cancelled; BrokerError when a connection is lost."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._outlet.run(), name="bench-feeder")
            tasks.create_task(self._inlet.run(), name="bench-listener")
            tasks.create_task(self._listen(), name="bench-results")
            tasks.create_task(self._feeder_up.lost(), name="bench-feeder-link")
            tasks.create_task(self._listener_up.lost(), name="bench-listener-link")

    async def connected(self) -> None:
        """Waits for both connections.

        Raises:
            BrokerError: they do not come about.
        """
        try:
            async with asyncio.timeout(_LINK_S):
                await self._feeder_up.up.wait()
                await self._listener_up.up.wait()
        except TimeoutError:
            why = self._feeder_up.why or self._listener_up.why
            raise BrokerError(f"no connection to the bench's own broker: {why}") from None


class _Link:
    """The state of one connection."""

    def __init__(self, name: str) -> None:
        self.up = asyncio.Event()
        self.why = ""
        self._name = name
        self._down = asyncio.Event()

    def __call__(self, *, up: bool, why: str) -> None:
        self.why = why
        if up:
            self.up.set()
        elif self.up.is_set():
            self._down.set()

    async def lost(self) -> None:
        """Raises when the connection was up and is no longer: a figure would mean nothing."""
        await self._down.wait()
        raise BrokerError(f"the bench's {self._name} lost its own broker: {self.why}")


@contextlib.asynccontextmanager
async def opened(traffic: Traffic) -> AsyncIterator[Traffic]:
    """Connects feeder and listener until the block is left."""
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(traffic.run(), name="bench-traffic")
        try:
            await traffic.connected()
            yield traffic
        finally:
            running.cancel()
