"""The MQTT implementation of the Inlet port: one stream's own connection, which is its lane.

Every epoch is one connection. Inputs are numbered as they are read; ``settle`` sends the PUBACKs of
a finished prefix, in order of receipt as MQTT asks. Our own window bounds what is unsettled, in
messages and bytes, besides Receive Maximum: some brokers overrun that, and QoS 0 has none.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

import aiomqtt
from paho.mqtt.client import MQTTMessage

from geoweir.core.backoff import Backoff
from geoweir.core.lane import DURABLE, REPEATED, RETAINED, Batch, Headers, LaneClosed, LaneOpened
from geoweir.errors import BrokerError
from geoweir.mqtt.connection import (
    AuthenticationError,
    Connection,
    Protocols,
    dial,
    subscription,
)
from geoweir.mqtt.options import BrokerOptions, OnLink

__all__ = ["MqttInlet"]

#: Inputs read and not yet taken; one read more than this may wait.
_PENDING: Final = 512
_REFUSED: Final = 0x80
_USER_PROPERTIES: Final = 32
_USER_PROPERTY_BYTES: Final = 4096


class MqttInlet:
    """Inputs of one stream over its own persistent session.

    Args:
        lane: the lane's name; its session at the broker is ``client_id``.
        filters: topic filters to subscribe to.
        window: unsettled inputs at most, and ``window_bytes`` of their payloads.
        session_expiry_s: other than the options say; 0 for a session that ends with us.
        on_link: told of each change: connected or not, and a line that says why.
    """

    def __init__(
        self,
        *,
        lane: str,
        client_id: str,
        options: BrokerOptions,
        filters: Sequence[str],
        qos: int,
        window: int,
        window_bytes: int,
        on_link: OnLink,
        on_paused: Callable[[bool], None] = lambda _: None,
        session_expiry_s: int | None = None,
    ) -> None:
        self._lane = lane
        self._client_id = client_id
        self._options = options
        self._filters = tuple(filters)
        self._qos = qos
        self._window = window
        self._window_bytes = window_bytes
        self._on_link = on_link
        self._on_paused = on_paused
        self._session_expiry_s = session_expiry_s
        self._protocols = Protocols(options.protocol)
        self._connection: Connection | None = None
        self._epoch = 0
        self._next = 0  # the next input's position
        self._unsettled: deque[tuple[int, int, int]] = deque()  # (position, packet id or 0, bytes)
        self._unsettled_bytes = 0
        self._settled_apart: set[int] = set()
        self._events: deque[Batch | LaneOpened | LaneClosed] = deque()
        self._open: _OpenBatch | None = None
        self._pending = 0
        self._wake = asyncio.Event()
        self._is_paused_by_consumer = False
        self._was_paused = False
        self._is_closing = False
        self._finish = asyncio.Event()

    def __repr__(self) -> str:
        state = "connected" if self._connection else "away"
        return f"<MqttInlet {self._lane} {state} unsettled={len(self._unsettled)}>"

    # The port.

    async def batches(self) -> AsyncIterator[Batch | LaneOpened | LaneClosed]:
        """Yields what was read, in order, until ``close``."""
        while True:
            self._seal()
            if not self._events:
                if self._is_closing:
                    return
                self._wake.clear()
                await self._wake.wait()
                continue
            event = self._events.popleft()
            if isinstance(event, Batch):
                self._pending -= len(event)
                self._adjust_reading()
            yield event

    def settle(self, lane: str, epoch: int, position: int) -> None:
        """Acknowledges every input up to ``position``."""
        if lane != self._lane or epoch != self._epoch:
            return
        unsettled, connection = self._unsettled, self._connection
        while unsettled and unsettled[0][0] <= position:
            at, mid, size = unsettled.popleft()
            self._unsettled_bytes -= size
            if at in self._settled_apart:
                self._settled_apart.discard(at)
            elif mid and connection is not None:
                connection.acknowledge(mid)
        self._adjust_reading()

    def settle_each(self, lane: str, epoch: int, positions: Sequence[int]) -> None:
        """Acknowledges single inputs, for brokers that forgive disorder."""
        if lane != self._lane or epoch != self._epoch or self._connection is None:
            return
        base = self._unsettled[0][0] if self._unsettled else self._next
        for position in positions:
            if position >= base and position not in self._settled_apart:
                mid = self._unsettled[position - base][1]
                self._settled_apart.add(position)
                if mid:
                    self._connection.acknowledge(mid)

    def pause(self) -> None:
        """Stops reading from the broker."""
        self._is_paused_by_consumer = True
        self._adjust_reading()

    def resume(self) -> None:
        """Reads again, if the window allows."""
        self._is_paused_by_consumer = False
        self._adjust_reading()

    async def close(self) -> None:
        """Reads nothing more; ``batches`` ends after what was read; ``settle`` still works."""
        self._is_closing = True
        self._adjust_reading()
        self._wake.set()

    async def disconnect(self) -> None:
        """Ends the connection after the acknowledgements that were written."""
        self._is_closing = True
        self._finish.set()
        self._wake.set()

    # The connection.

    async def run(self) -> None:
        """Keeps the lane connected until ``disconnect``."""
        backoff = Backoff()
        while not self._finish.is_set():
            why = "closed"
            try:
                await self._live()
                backoff.reset()
            except AuthenticationError as error:
                why = str(error)
            except BrokerError as error:
                why = str(error)
            finally:
                was_connected = self._connection is not None
                self._drop(why)
            if was_connected:
                backoff.reset()
            if not self._finish.is_set():
                await self._pause_before_retry(backoff)

    async def _live(self) -> None:
        async with dial(
            self._options,
            self._protocols,
            _Reader(self),
            client_id=self._client_id,
            receive_maximum=min(self._window, 65535),
            session_expiry_s=self._session_expiry_s,
        ) as connection:
            self._connection = connection
            self._adjust_reading()
            await self._subscribe(connection)
            self._on_link(up=True, why=f"{self._options.name} as {self._client_id}")
            await self._until_finished(connection)

    async def _until_finished(self, connection: Connection) -> None:
        lost = asyncio.ensure_future(connection.lost())
        finish = asyncio.ensure_future(self._finish.wait())
        try:
            await asyncio.wait((lost, finish), return_when=asyncio.FIRST_COMPLETED)
            if lost.done():
                lost.result()
        finally:
            for task in (lost, finish):
                task.cancel()
            await asyncio.gather(lost, finish, return_exceptions=True)

    async def _subscribe(self, connection: Connection) -> None:
        for topic_filter in self._filters:
            try:
                codes = await connection.subscribe(
                    topic_filter, **subscription(self._qos, self._protocols)
                )
            except (aiomqtt.MqttError, ValueError) as error:
                raise BrokerError(f'subscribe "{topic_filter}": {error}') from None
            for code in codes:
                if (code if isinstance(code, int) else code.value) >= _REFUSED:
                    raise BrokerError(
                        f'broker {self._options.name} refused the subscription "{topic_filter}" '
                        f"({code}). Allow it in the broker's access list."
                    )

    async def _pause_before_retry(self, backoff: Backoff) -> None:
        try:
            async with asyncio.timeout(backoff.next_s(random.random())):  # noqa: S311 - jitter
                await self._finish.wait()
        except TimeoutError:
            return

    def _drop(self, why: str) -> None:
        self._connection = None
        if self._next or self._epoch:
            self._seal()
            self._events.append(LaneClosed(self._lane, self._epoch, why))
        self._unsettled.clear()
        self._settled_apart.clear()
        self._unsettled_bytes = 0
        self._report_paused(paused=False)
        self._on_link(up=False, why=why)
        self._wake.set()

    # What the connection tells.

    def opened(self, *, session_present: bool) -> None:
        """A new epoch begins."""
        self._epoch += 1
        self._next = 0
        self._events.append(LaneOpened(self._lane, self._epoch, session_present))
        self._wake.set()

    def took(self, message: MQTTMessage) -> None:
        """An input was read."""
        payload = bytes(message.payload)
        mid = message.mid if message.qos else 0
        position = self._next
        self._next += 1
        self._unsettled.append((position, mid, len(payload)))
        self._unsettled_bytes += len(payload)
        if self._open is None:
            self._open = _OpenBatch(position)
        self._open.add(message, payload)
        self._pending += 1
        self._wake.set()
        self._adjust_reading()

    def _seal(self) -> None:
        if self._open is not None:
            self._events.append(self._open.seal(self._lane, self._epoch))
            self._open = None

    # Back-pressure.

    def _adjust_reading(self) -> None:
        """Pauses at a bound, and resumes at three quarters of it: no flutter."""
        connection = self._connection
        if connection is None:
            return
        stop = self._is_full(1.0) or self._is_paused_by_consumer or self._is_closing
        if stop and not connection.is_paused:
            connection.pause()
            self._report_paused(paused=True)
        elif connection.is_paused and not stop and not self._is_full(0.75):
            connection.resume()
            self._report_paused(paused=False)

    def _is_full(self, share: float) -> bool:
        return (
            len(self._unsettled) >= max(1, self._window * share)
            or self._unsettled_bytes >= self._window_bytes * share
            or self._pending >= _PENDING * share
        )

    def _report_paused(self, *, paused: bool) -> None:
        if paused != self._was_paused:
            self._was_paused = paused
            self._on_paused(paused)


class _Reader:
    """The listener of a live connection."""

    def __init__(self, inlet: MqttInlet) -> None:
        self._inlet = inlet

    def connected(self, *, session_present: bool, receive_maximum: int, packet_limit: int) -> None:
        del receive_maximum, packet_limit  # they bound what we publish, and this lane doesn't
        self._inlet.opened(session_present=session_present)

    def message(self, message: MQTTMessage) -> None:
        self._inlet.took(message)

    def acknowledged(self, mid: int, code: int, text: str) -> None:
        """Nothing is published here."""


class _OpenBatch:
    """The columns of a batch that still grows."""

    __slots__ = ("addresses", "first", "flags", "headers", "payloads")

    def __init__(self, first: int) -> None:
        self.first = first
        self.payloads: list[bytes] = []
        self.addresses: list[str] = []
        self.headers: list[Headers] = []
        self.flags = bytearray()

    def add(self, message: MQTTMessage, payload: bytes) -> None:
        self.payloads.append(payload)
        self.addresses.append(message.topic)
        self.headers.append(_headers(message))
        self.flags.append(
            (DURABLE if message.qos else 0)
            | (REPEATED if message.dup else 0)
            | (RETAINED if message.retain else 0)
        )

    def seal(self, lane: str, epoch: int) -> Batch:
        return Batch(
            lane,
            epoch,
            self.first,
            self.payloads,
            self.addresses,
            self.headers,
            bytes(self.flags),
            time.time(),
        )


def _headers(message: MQTTMessage) -> Headers:
    properties = getattr(message.properties, "UserProperty", None)
    if not properties:
        return ()
    kept, size = [], 0
    for name, value in properties[:_USER_PROPERTIES]:
        size += len(name) + len(value)
        if size > _USER_PROPERTY_BYTES:
            break
        kept.append((name, value))
    return tuple(kept)
