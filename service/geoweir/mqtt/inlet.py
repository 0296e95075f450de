"""The MQTT implementation of the Inlet port: one stream's own connection, which is its lane.

Every epoch is one connection. Inputs are numbered as they are read; ``settle`` sends the PUBACKs of
a finished prefix, in order of receipt as MQTT asks. Our own window bounds what is unsettled, in
messages and bytes, besides Receive Maximum: some brokers overrun that, and QoS 0 has none.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Final

from geoweir.core.backoff import Backoff
from geoweir.core.lane import Batch, LaneClosed, LaneOpened
from geoweir.errors import BrokerError
from geoweir.mqtt.dial import Protocols, dial, pause_before_retry, until_any
from geoweir.mqtt.link import PACKET_ID_MAXIMUM, Arrivals, Greeting, Link, LinkOptions
from geoweir.mqtt.options import BrokerOptions, OnLink
from geoweir.mqtt.renewal import RENEWED, Renewal
from geoweir.ports import Refusal

__all__ = ["MqttInlet"]

#: Inputs read and not yet taken, at most.
_PENDING: Final = 512


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
        self._connection: Link | None = None
        self._epoch = 0
        self._next = 0  # the next input's position
        self._mids: deque[int] = deque()  # of every unsettled input, 0 where none is owed
        self._sizes: deque[int] = deque()  # their payloads' bytes
        self._unsettled_bytes = 0
        self._events: deque[Batch | LaneOpened | LaneClosed] = deque()
        self._open: Arrivals | None = None  # a batch that still grows
        self._opened_at = 0.0
        self._pending = 0
        self._wake = asyncio.Event()
        self._is_paused_by_consumer = False
        self._was_paused = False
        self._is_closing = False
        self._finish = asyncio.Event()
        self._renewal = Renewal()
        self._is_subscribed = False

    def __repr__(self) -> str:
        state = "connected" if self._connection else "away"
        return f"<MqttInlet {self._lane} {state} unsettled={len(self._mids)}>"

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
        count = position + 1 - self._first_unsettled()
        if count <= 0:
            return
        mids, sizes = self._mids, self._sizes
        owed = [mid for _ in range(count) if (mid := mids.popleft())]
        self._unsettled_bytes -= sum([sizes.popleft() for _ in range(count)])
        if owed and self._connection is not None:
            self._connection.acknowledge(owed)
        self._adjust_reading()
        self._renewal.look(len(mids))

    def settle_each(self, lane: str, epoch: int, positions: Sequence[int]) -> None:
        """Acknowledges single inputs, for brokers that forgive disorder."""
        if lane != self._lane or epoch != self._epoch or self._connection is None:
            return
        first = self._first_unsettled()
        places = [position - first for position in positions if position >= first]
        owed = [self._mids[place] for place in places if self._mids[place]]
        for place in places:
            self._mids[place] = 0  # ``settle`` counts it and owes it nothing more
        if owed:
            self._connection.acknowledge(owed)

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

    def renew(self) -> None:
        """Connects anew when everything that was read is settled: no input comes twice by it."""
        self._renewal.want()
        self._renew_soon()

    # The connection.

    async def run(self) -> None:
        """Keeps the lane connected until ``disconnect``."""
        backoff = Backoff()
        while not self._finish.is_set():
            why = "closed"
            try:
                await self._live()
                why = "closed" if self._finish.is_set() else RENEWED
                backoff.reset()
            except BrokerError as error:
                why = str(error)
            finally:
                was_connected = self._connection is not None
                self._drop(why)
            if was_connected:
                backoff.reset()
            if not self._finish.is_set() and why is not RENEWED:
                await pause_before_retry(backoff, self._finish)

    async def _live(self) -> None:
        expiry_s = self._session_expiry_s
        link = LinkOptions(
            client_id=self._client_id,
            session_expiry_s=self._options.session_expiry_s if expiry_s is None else expiry_s,
            receive_maximum=min(self._window, PACKET_ID_MAXIMUM),
        )
        self._renewal.over()  # whatever it was for, this connection has it
        async with dial(self._options, self._protocols, link, self) as connection:
            self._connection = connection
            self._adjust_reading()
            for topic_filter in self._filters:
                await connection.subscribe(topic_filter, self._qos)
            self._on_link(up=True, why=f"{self._options.name} as {self._client_id}")
            self._is_subscribed = True
            self._renew_soon()
            await until_any(connection, self._finish, self._renewal.ready)

    def _drop(self, why: str) -> None:
        self._connection = None
        self._is_subscribed = False
        self._renewal.over()
        if self._next or self._epoch:
            self._seal()
            self._events.append(LaneClosed(self._lane, self._epoch, why))
        self._mids.clear()
        self._sizes.clear()
        self._unsettled_bytes = 0
        self._report_paused(paused=False)
        self._on_link(up=False, why=why)
        self._wake.set()

    # What the connection tells.

    def connected(self, greeting: Greeting) -> None:
        """A new epoch begins."""
        self._epoch += 1
        self._next = 0
        self._events.append(LaneOpened(self._lane, self._epoch, greeting.session_present))
        self._wake.set()

    def room(self) -> tuple[int, int]:
        """What may still be read before a bound is reached."""
        return (
            min(self._window - len(self._mids), _PENDING - self._pending),
            self._window_bytes - self._unsettled_bytes,
        )

    def arrived(self, arrivals: Arrivals) -> None:
        """Inputs were read."""
        self._next += len(arrivals)
        self._mids.extend(arrivals.mids)
        self._sizes.extend(map(len, arrivals.payloads))
        self._unsettled_bytes += arrivals.size
        self._pending += len(arrivals)
        if self._open is None:
            self._open, self._opened_at = arrivals, time.time()
        else:
            self._open.extend(arrivals)
        self._wake.set()
        self._adjust_reading()

    def acknowledged(self, mids: Sequence[int], refused: Mapping[int, Refusal]) -> None:
        """Nothing is published here."""

    def writable(self) -> None:
        """Acknowledgements are never held back: the window bounds them."""

    def _renew_soon(self) -> None:
        # Not before: the answer to a subscription is not read while reading is paused.
        if self._is_subscribed:
            self._adjust_reading()
            self._renewal.look(len(self._mids))

    def _first_unsettled(self) -> int:
        return self._next - len(self._mids)

    def _seal(self) -> None:
        ready = self._open
        if ready is None:
            return
        self._open = None
        self._events.append(
            Batch(
                lane=self._lane,
                epoch=self._epoch,
                first=self._next - len(ready),
                payloads=ready.payloads,
                addresses=ready.addresses,
                headers=ready.headers,
                flags=bytes(ready.flags),
                received=self._opened_at,
            )
        )

    # Back-pressure.

    def _adjust_reading(self) -> None:
        """Pauses at a bound, and resumes at three quarters of it: no flutter."""
        connection = self._connection
        if connection is None:
            return
        is_renewed = self._renewal.is_wanted and self._is_subscribed
        is_held = self._is_paused_by_consumer or self._is_closing or is_renewed
        stop = is_held or self._is_full(1.0)
        if stop and not connection.is_paused:
            connection.pause()
            self._report_paused(paused=True)
        elif connection.is_paused and not stop and not self._is_full(0.75):
            connection.resume()
            self._report_paused(paused=False)

    def _is_full(self, share: float) -> bool:
        return (
            len(self._mids) >= max(1, self._window * share)
            or self._unsettled_bytes >= self._window_bytes * share
            or self._pending >= _PENDING * share
        )

    def _report_paused(self, *, paused: bool) -> None:
        if paused != self._was_paused:
            self._was_paused = paused
            self._on_paused(paused)
