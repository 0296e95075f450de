"""The MQTT implementation of the Outlet port: one connection for everything that leaves.

Messages wait here in order until the broker answered them. A lost connection is no answer: what has
none is sent again, in order, by the next connection. A message that the broker refuses, or that
cuts the connection each time it is sent, is answered with a Refusal: it never stops the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from geoweir.core.backoff import Backoff
from geoweir.core.turns import Turns
from geoweir.errors import BrokerError
from geoweir.mqtt.dial import Protocols, dial, pause_before_retry, until_any
from geoweir.mqtt.link import (
    PACKET_ID_MAXIMUM,
    REFUSED,
    Arrivals,
    Greeting,
    Link,
    LinkOptions,
)
from geoweir.mqtt.options import BrokerOptions, OnLink
from geoweir.mqtt.renewal import RENEWED, Renewal
from geoweir.ports import Outgoing, Refusal

__all__ = ["MqttOutlet"]

#: Messages in one write.
_POST: Final = 256
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


#: A message, where its answer goes, and its place there.
_Waiting = tuple[Outgoing, _Answers, int]


class MqttOutlet:
    """Publishes in order with many messages under way.

    Args:
        window: publishes under way at most; the broker's Receive Maximum may be lower.
        weights: how much each flow gives at its turn: see ``core.turns``.
        greeting: the retained status to publish first on each connection, and the will.

    Attributes:
        certificate_ends: when the broker's certificate ends, in Unix seconds; None without TLS.
    """

    def __init__(
        self,
        *,
        client_id: str,
        options: BrokerOptions,
        window: int = 400,
        weights: Mapping[str, int] = MappingProxyType({}),
        greeting: Callable[[], Outgoing] | None = None,
        will: Outgoing | None = None,
        on_link: OnLink,
    ) -> None:
        self.certificate_ends: float | None = None
        self._client_id = client_id
        self._options = options
        self._window = window
        self._greeting = greeting
        self._will = will
        self._on_link = on_link
        self._protocols = Protocols(options.protocol)
        self._connection: Link | None = None
        self._receive_maximum = PACKET_ID_MAXIMUM
        self._queue: Turns[_Waiting] = Turns(weights)
        self._under_way: dict[int, _Waiting] = {}
        self._queued_bytes = 0
        self._cuts = 0
        self._sent_at = 0.0  # of the latest post
        self._suspect: tuple[Outgoing, int] | None = None  # alone under way at so many cuts
        self._answered_on_connection = 0
        self._finish = asyncio.Event()
        self._emptied = asyncio.Event()
        self._renewal = Renewal()

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

    def send(
        self, messages: Sequence[Outgoing], *, flow: str = ""
    ) -> asyncio.Future[list[Refusal | None]]:
        """Queues messages in order; completes when each was acknowledged or refused."""
        future: asyncio.Future[list[Refusal | None]] = asyncio.get_running_loop().create_future()
        if not messages:
            future.set_result([])
            return future
        answers = _Answers(len(messages), future)
        self._queue.add(flow, [(message, answers, i) for i, message in enumerate(messages)])
        self._queued_bytes += sum([len(message.payload) for message in messages])
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

    def renew(self) -> None:
        """Connects anew when every message under way has its answer; what comes meanwhile waits."""
        self._renewal.want()
        self._renew_soon()

    # The connection.

    async def connect_once(self) -> None:
        """Tries to reach the broker and leaves again; BrokerError with one clear line."""
        link = LinkOptions(client_id=f"{self._client_id}-check", session_expiry_s=0)
        async with dial(self._options, self._protocols, link, _Knock()):
            pass

    async def run(self) -> None:
        """Keeps the connection until ``disconnect``."""
        backoff = Backoff()
        while not self._finish.is_set():
            why = "closed"
            try:
                await self._live()
                why = "closed" if self._finish.is_set() else RENEWED
            except BrokerError as error:
                why = str(error)
            finally:
                was_connected = self._connection is not None
                self._drop()
                self._on_link(up=False, why=why)
            if was_connected and self._answered_on_connection:
                backoff.reset()
            if not self._finish.is_set() and why is not RENEWED:
                await pause_before_retry(backoff, self._finish)

    async def _live(self) -> None:
        self._answered_on_connection = 0
        self._renewal.over()  # whatever it was for, this connection has it
        link = LinkOptions(client_id=self._client_id, session_expiry_s=0, will=self._will)
        async with dial(self._options, self._protocols, link, self) as connection:
            self._connection = connection
            self._greet()
            self._on_link(up=True, why=f"{self._options.name} as {self._client_id}")
            self._pump()
            self._renew_soon()
            await until_any(connection, self._finish, self._renewal.ready)

    def _renew_soon(self) -> None:
        if self._connection is not None:
            self._renewal.look(len(self._under_way))

    def _greet(self) -> None:
        if self._greeting is not None:
            greeting = self._greeting()
            future = asyncio.get_running_loop().create_future()
            self._queue.add_first([(greeting, _Answers(1, future), 0)])
            self._queued_bytes += len(greeting.payload)

    def _drop(self) -> None:
        """Puts what has no answer back in front, in order, and looks for who cut the line."""
        if self._connection is None:
            return
        self._connection = None
        waiting = list(self._under_way.values())
        self._under_way.clear()
        is_ours = self._finish.is_set() or self._renewal.is_wanted
        self._renewal.over()
        if not self._answered_on_connection and waiting and not is_ours:
            self._cuts += 1
            self._blame(waiting)
        self._queue.add_first(w for w in waiting if not w[1].future.done())
        self._note_emptied()

    def _blame(self, waiting: list[_Waiting]) -> None:
        """Counts a cut against a message that was alone under way, and refuses it at the third."""
        now = asyncio.get_running_loop().time()
        if len(waiting) > 1 or now - self._sent_at > _CUT_AFTER_S:
            return
        only = waiting[0][0]
        cuts = self._suspect[1] + 1 if self._suspect and self._suspect[0] is only else 1
        self._suspect = only, cuts
        if cuts >= _CUTS_OF_ONE:
            text = "the broker cut the connection at this message"
            self._answer(waiting.pop(), Refusal(REFUSED, text))

    # Sending.

    def _pump(self) -> None:
        """Posts what waits, as far as the window allows."""
        connection = self._connection
        if self._renewal.is_wanted:
            return
        while self._queue and connection is not None and connection.is_writable:
            limit = min(self._window, self._receive_maximum)
            if self._cuts >= _CUTS_BEFORE_ONE_BY_ONE:
                limit = 1
            free = min(limit - len(self._under_way), _POST)
            # Behind a full window, single places are not worth a write each: more become free.
            if free < min(len(self._queue), limit // 4) and self._under_way:
                return
            if free <= 0 or not self._post(connection, free):
                return

    def _post(self, connection: Link, count: int) -> bool:
        """Posts the next messages in one go; False when the connection is gone."""
        batch = self._queue.take(count)
        answers = connection.post([message for message, _, _ in batch])
        self._sent_at = asyncio.get_running_loop().time()
        for waiting, answer in zip(batch, answers, strict=False):
            if isinstance(answer, Refusal):
                self._answer(waiting, answer)
            elif answer:
                self._under_way[answer] = waiting
            else:
                self._answer(waiting, None)
        self._queue.add_first(batch[len(answers) :])
        self._note_emptied()
        return len(answers) == len(batch)

    def _answer(self, waiting: _Waiting, refusal: Refusal | None) -> None:
        message, answers, index = waiting
        self._queued_bytes -= len(message.payload)
        answers.answer(index, refusal)

    def _note_emptied(self) -> None:
        if not self._queue and not self._under_way:
            self._emptied.set()

    # What the connection tells.

    def connected(self, greeting: Greeting) -> None:
        """The broker accepted us, with its limits; what has no answer is kept here, no session."""
        self._receive_maximum = greeting.receive_maximum
        self.certificate_ends = greeting.certificate_ends

    def room(self) -> tuple[int, int]:
        """Nothing is subscribed here, and what comes all the same is passed over."""
        return PACKET_ID_MAXIMUM, PACKET_ID_MAXIMUM

    def arrived(self, arrivals: Arrivals) -> None:
        """Nothing is subscribed here."""

    def acknowledged(self, mids: Sequence[int], refused: Mapping[int, Refusal]) -> None:
        """The broker answered publishes."""
        under_way, known = self._under_way, 0
        for mid in mids:
            waiting = under_way.pop(mid, None)
            if waiting is not None:
                known += 1
                self._answer(waiting, refused.get(mid) if refused else None)
        if known:
            self._cuts = 0
            self._answered_on_connection += known
        self._note_emptied()
        self._renewal.look(len(under_way))
        self._pump()

    def writable(self) -> None:
        """The link takes messages again."""
        self._pump()


class _Knock:
    """The listener of a connection that only knocks."""

    def connected(self, greeting: Greeting) -> None:
        """The door opens: that was the question."""

    def room(self) -> tuple[int, int]:
        """A knock has no subscription."""
        return 1, 1

    def arrived(self, arrivals: Arrivals) -> None:
        """A knock has no subscription."""

    def acknowledged(self, mids: Sequence[int], refused: Mapping[int, Refusal]) -> None:
        """A knock publishes nothing."""

    def writable(self) -> None:
        """A knock publishes nothing."""
