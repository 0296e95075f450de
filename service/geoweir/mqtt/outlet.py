"""The MQTT implementation of the Outlet port: one connection for everything that leaves.

Messages wait here in order until the broker answered them. A lost connection is no answer: what has
none is sent again, in order, by the next connection. A message that the broker refuses, or that
cuts the connection each time it is sent, is answered with a Refusal: it never stops the others.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import aiomqtt
from paho.mqtt.client import MQTTMessage

from geoweir.core.backoff import Backoff
from geoweir.errors import BrokerError
from geoweir.mqtt.connection import Connection, Protocols, dial
from geoweir.mqtt.options import BrokerOptions, OnLink
from geoweir.mqtt.properties import PublishProperties
from geoweir.ports import Outgoing, Refusal

__all__ = ["MqttOutlet"]

_REFUSED: Final = 0x80
_PACKET_TOO_LARGE: Final = 0x95
_TOPIC_INVALID: Final = 0x90
#: Room for the fixed header, lengths and properties of a PUBLISH beside topic and payload.
_PACKET_OVERHEAD: Final = 64
#: After so many cuts in a row without one answer, messages go one at a time …
_CUTS_BEFORE_ONE_BY_ONE: Final = 2
#: … and one that was alone under way at so many cuts is refused as their cause.
_CUTS_OF_ONE: Final = 3
#: A cut counts against a message only when it follows the sending so soon, in seconds.
_CUT_AFTER_S: Final = 1.0


class _Answers:
    """The answers to one ``send``, which completes when the last one came."""

    __slots__ = ("future", "missing", "refusals")

    def __init__(self, count: int, future: asyncio.Future[list[Refusal | None]]) -> None:
        self.future = future
        self.missing = count
        self.refusals: list[Refusal | None] = [None] * count

    def answer(self, index: int, refusal: Refusal | None) -> None:
        self.refusals[index] = refusal
        self.missing -= 1
        if not self.missing and not self.future.done():
            self.future.set_result(self.refusals)


@dataclass(slots=True)
class _Waiting:
    message: Outgoing
    answers: _Answers
    index: int
    sent_at: float = 0.0
    cuts: int = 0


class MqttOutlet:
    """Publishes in order with many messages under way.

    Args:
        window: publishes under way at most; the broker's Receive Maximum may be lower.
        greeting: the retained status to publish first on each connection, and the will.
    """

    def __init__(
        self,
        *,
        client_id: str,
        options: BrokerOptions,
        window: int = 200,
        greeting: Callable[[], Outgoing] | None = None,
        will: Outgoing | None = None,
        on_link: OnLink,
    ) -> None:
        self._client_id = client_id
        self._options = options
        self._window = window
        self._greeting = greeting
        self._will = will
        self._on_link = on_link
        self._protocols = Protocols(options.protocol)
        self._connection: Connection | None = None
        self._receive_maximum = 65535
        self._packet_limit = 268_435_455
        self._queue: deque[_Waiting] = deque()
        self._under_way: dict[int, _Waiting] = {}
        self._queued_bytes = 0
        self._cuts = 0
        self._answered_on_connection = 0
        self._finish = asyncio.Event()
        self._emptied = asyncio.Event()

    def __repr__(self) -> str:
        state = "connected" if self._connection else "away"
        return f"<MqttOutlet {state} queued={len(self._queue)} under way={len(self._under_way)}>"

    @property
    def is_v5(self) -> bool:
        """Whether the broker speaks MQTT 5 with us, and so says what it refuses."""
        return self._protocols.is_v5

    @property
    def backlog_bytes(self) -> int:
        """Payload bytes that wait for an answer."""
        return self._queued_bytes

    # The port.

    def send(self, messages: Sequence[Outgoing]) -> asyncio.Future[list[Refusal | None]]:
        """Queues messages in order; completes when each was acknowledged or refused."""
        future: asyncio.Future[list[Refusal | None]] = asyncio.get_running_loop().create_future()
        if not messages:
            future.set_result([])
            return future
        answers = _Answers(len(messages), future)
        for index, message in enumerate(messages):
            self._queue.append(_Waiting(message, answers, index))
            self._queued_bytes += len(message.payload)
        self._pump()
        return future

    async def flushed(self) -> None:
        """Waits until everything that was sent has its answer."""
        while self._queue or self._under_way:
            self._emptied.clear()
            await self._emptied.wait()

    async def disconnect(self) -> None:
        """Leaves the broker; what has no answer stays without one."""
        self._finish.set()

    # The connection.

    async def connect_once(self) -> None:
        """Tries to reach the broker and leaves again; BrokerError with one clear line."""
        async with dial(
            self._options,
            self._protocols,
            _Knock(),
            client_id=f"{self._client_id}-check",
            session_expiry_s=0,
        ):
            pass

    async def run(self) -> None:
        """Keeps the connection until ``disconnect``."""
        backoff = Backoff()
        while not self._finish.is_set():
            why = "closed"
            try:
                await self._live()
            except BrokerError as error:
                why = str(error)
            finally:
                was_connected = self._connection is not None
                self._drop()
                self._on_link(up=False, why=why)
            if was_connected and self._answered_on_connection:
                backoff.reset()
            if not self._finish.is_set():
                await self._pause_before_retry(backoff)

    async def _live(self) -> None:
        self._answered_on_connection = 0
        async with dial(
            self._options,
            self._protocols,
            self,
            client_id=self._client_id,
            session_expiry_s=0,
            will=_will(self._will),
        ) as connection:
            self._connection = connection
            self._greet()
            self._on_link(up=True, why=f"{self._options.name} as {self._client_id}")
            self._pump()
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

    async def _pause_before_retry(self, backoff: Backoff) -> None:
        try:
            async with asyncio.timeout(backoff.next_s(random.random())):  # noqa: S311 - jitter
                await self._finish.wait()
        except TimeoutError:
            return

    def _greet(self) -> None:
        if self._greeting is not None:
            greeting = self._greeting()
            future = asyncio.get_running_loop().create_future()
            self._queue.appendleft(_Waiting(greeting, _Answers(1, future), 0))
            self._queued_bytes += len(greeting.payload)

    def _drop(self) -> None:
        """Puts what has no answer back in front, in order, and looks for who cut the line."""
        if self._connection is None:
            return
        self._connection = None
        waiting = list(self._under_way.values())
        self._under_way.clear()
        if not self._answered_on_connection and waiting and not self._finish.is_set():
            self._cuts += 1
            self._blame(waiting)
        self._queue.extendleft(reversed([w for w in waiting if not w.answers.future.done()]))

    def _blame(self, waiting: list[_Waiting]) -> None:
        now = asyncio.get_running_loop().time()
        only = waiting[0]
        if len(waiting) > 1 or now - only.sent_at > _CUT_AFTER_S:
            return
        only.cuts += 1
        if only.cuts >= _CUTS_OF_ONE:
            self._answer(only, Refusal(_REFUSED, "the broker cut the connection at this message"))
            waiting.clear()

    # Sending.

    def _pump(self) -> None:
        connection = self._connection
        if connection is None:
            return
        limit = min(self._window, self._receive_maximum)
        if self._cuts >= _CUTS_BEFORE_ONE_BY_ONE:
            limit = 1
        while self._queue and len(self._under_way) < limit:
            waiting = self._queue.popleft()
            try:
                self._post(connection, waiting)
            except ConnectionError:
                self._queue.appendleft(waiting)
                return

    def _post(self, connection: Connection, waiting: _Waiting) -> None:
        message = waiting.message
        size = len(message.payload) + len(message.topic.encode()) + _PACKET_OVERHEAD
        size += sum(len(name.encode()) + len(value.encode()) + 5 for name, value in message.headers)
        if size > self._packet_limit:
            text = f"{size} bytes, over the broker's limit of {self._packet_limit}"
            self._answer(waiting, Refusal(_PACKET_TOO_LARGE, text))
            return
        try:
            mid = connection.post(
                message.topic,
                message.payload,
                message.qos,
                retain=message.retain,
                properties=PublishProperties(message.content_type, message.headers),
            )
        except ValueError as error:
            self._answer(waiting, Refusal(_TOPIC_INVALID, str(error)))
            return
        if message.qos:
            waiting.sent_at = asyncio.get_running_loop().time()
            self._under_way[mid] = waiting
        else:
            self._answer(waiting, None)

    def _answer(self, waiting: _Waiting, refusal: Refusal | None) -> None:
        self._queued_bytes -= len(waiting.message.payload)
        waiting.answers.answer(waiting.index, refusal)
        if not self._queue and not self._under_way:
            self._emptied.set()

    # What the connection tells.

    def connected(self, *, session_present: bool, receive_maximum: int, packet_limit: int) -> None:
        """The broker accepted us, with its limits."""
        del session_present  # what has no answer is kept here, not in a session
        self._receive_maximum = receive_maximum
        self._packet_limit = packet_limit

    def message(self, message: MQTTMessage) -> None:
        """Nothing is subscribed here."""

    def acknowledged(self, mid: int, code: int, text: str) -> None:
        """The broker answered a publish."""
        waiting = self._under_way.pop(mid, None)
        if waiting is None:
            return
        self._cuts = 0
        self._answered_on_connection += 1
        self._answer(waiting, Refusal(code, text) if code >= _REFUSED else None)
        self._pump()


class _Knock:
    """The listener of a connection that only knocks."""

    def connected(self, *, session_present: bool, receive_maximum: int, packet_limit: int) -> None:
        """The door opens: that was the question."""

    def message(self, message: MQTTMessage) -> None:
        """A knock has no subscription."""

    def acknowledged(self, mid: int, code: int, text: str) -> None:
        """A knock publishes nothing."""


def _will(message: Outgoing | None) -> aiomqtt.Will | None:
    if message is None:
        return None
    return aiomqtt.Will(message.topic, message.payload, qos=message.qos, retain=message.retain)
