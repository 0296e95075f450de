"""The fast link: MQTT 5 over TCP and TLS on a plain asyncio protocol.

One read becomes one batch, and what one turn of the loop has to say is one write: see the ladder of
figures in ``docs/performance.md``. QoS 0 and 1, which is all that geoweir uses.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Sequence
from typing import Any, Final

from geoweir.errors import BrokerError
from geoweir.mqtt import packets
from geoweir.mqtt.link import (
    MAXIMUM_PACKET,
    PACKET_ID_MAXIMUM,
    REFUSED,
    Greeting,
    LinkOptions,
    Listener,
    VersionError,
    certificate_end,
    certificate_error,
    not_authorized,
)
from geoweir.mqtt.options import BrokerOptions, tls_context
from geoweir.mqtt.packets import PacketType
from geoweir.mqtt.reader import (
    MalformedError,
    Packet,
    PacketReader,
    Properties,
    Read,
    read_properties,
    variable,
)
from geoweir.mqtt.reasons import reason_text
from geoweir.mqtt.writer import PACKET_LIMIT, PacketWriter
from geoweir.ports import Outgoing, Refusal

__all__ = ["StreamLink", "open_stream"]

#: Topic aliases that the broker may use towards us.
_ALIASES: Final = 64
_NOT_AUTHORIZED: Final = frozenset({0x86, 0x87, 0x8A, 0x8C})
#: An older broker answers with its own code for a version that it does not know, or not at all.
_WRONG_VERSION: Final = frozenset({0x84, 0x01})
#: Where packets come at so many in so long, and a read brings as many, the next one waits so long.
_MANY: Final = 8
_GATHER_S: Final = 0.002
_READ_BUFFER: Final = 65_536  # bytes of one read at most
_WRITE_BUFFER: Final = 262_144  # bytes written and not yet taken by the system, about
_SHORTEST_SUBACK: Final = 4  # packet id, no properties, one reason code
_LEAVE_S: Final = 2.0  # for the broker to hang up


async def open_stream(options: BrokerOptions, link: LinkOptions, listener: Listener) -> StreamLink:
    """Connects, and returns when the broker has accepted us.

    Raises:
        AuthenticationError: the broker does not accept our name or password.
        VersionError: the broker does not speak MQTT 5.
        BrokerError: the broker can't be reached; one clear line.
    """
    context = await tls_context(options)
    made = StreamLink(options, link, listener)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(options.timeout_s):
            await loop.create_connection(
                lambda: made,
                options.host,
                options.port,
                ssl=context,
                server_hostname=options.host if context else None,
            )
            await made.accepted()
    except TimeoutError:
        made.abort()
        raise BrokerError(f"broker {options.name}: it did not answer in time") from None
    except ssl.SSLCertVerificationError as error:
        made.abort()
        raise certificate_error(options, error) from None
    except OSError as error:
        made.abort()
        raise BrokerError(f"broker {options.name}: {_plain(error)}") from None
    except BaseException:
        made.abort()
        raise
    return made


class StreamLink(asyncio.BufferedProtocol):
    """A connection to one broker; see ``link.Link`` for what an owner may do with it."""

    def __init__(self, options: BrokerOptions, link: LinkOptions, listener: Listener) -> None:
        self._options = options
        self._link = link
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._reader = PacketReader(maximum_packet=MAXIMUM_PACKET, topic_aliases=_ALIASES)
        self._buffer = memoryview(bytearray(_READ_BUFFER))
        self._accepted: asyncio.Future[None] = self._loop.create_future()
        self._accepted.add_done_callback(_retrieve)
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._why: BrokerError | None = None
        self._granted: asyncio.Future[Packet] | None = None
        self._is_paused = False
        self._gathering: asyncio.TimerHandle | None = None
        self._is_writable = True
        self._is_open = False
        self._keepalive_s = float(options.keepalive_s)
        self._keeper: asyncio.TimerHandle | None = None
        self._heard_at = self._loop.time()
        self._writer = PacketWriter()

    def __repr__(self) -> str:
        state = "open" if self._is_open else "closed"
        return f"<StreamLink {self._link.client_id} {state} waiting={self._reader.waiting_bytes}>"

    # What the owner may do.

    @property
    def is_paused(self) -> bool:
        """Whether reading is paused."""
        return self._is_paused

    @property
    def is_writable(self) -> bool:
        """Whether it takes messages."""
        return self._is_writable

    def pause(self) -> None:
        """Stops reading the socket; the kernel and then the broker hold what comes."""
        if not self._is_paused:
            self._is_paused = True
            if self._transport is not None and self._is_open:
                self._transport.pause_reading()

    def resume(self) -> None:
        """Reads again, beginning with what the socket gave already."""
        if self._is_paused:
            self._is_paused = False
            self._heard_at = self._loop.time()
            # Not now: whoever resumes may be in the middle of something.
            self._loop.call_soon(self._go_on)

    def acknowledge(self, mids: Sequence[int]) -> None:
        """Sends the PUBACK of each input."""
        if self._is_open and mids:
            self._write(packets.pubacks(mids))

    def post(self, messages: Sequence[Outgoing]) -> list[int | Refusal]:
        """Publishes in one write; see ``Link.post``."""
        if not self._is_open:
            return []
        data, answers = self._writer.write(messages)
        if data:
            self._write(data)
        return answers

    async def subscribe(self, topic_filter: str, qos: int) -> None:
        """Subscribes; see ``Link.subscribe``."""
        if not self._is_open:
            await self.lost()
        mid = self._writer.next_mid()
        try:
            packet = packets.subscribe(mid, topic_filter, qos)
        except ValueError as error:
            raise BrokerError(f'subscribe "{topic_filter}": {error}') from None
        self._granted = self._loop.create_future()
        self._granted.add_done_callback(_retrieve)
        self._write(packet)
        granted = await self._answer_to(topic_filter, self._granted)
        self._writer.done((mid,))
        code, properties = granted.body[-1], _properties_of(granted.body, 2)
        if code >= REFUSED:
            raise BrokerError(
                f'broker {self._options.name} refused the subscription "{topic_filter}": '
                f"{reason_text(code, properties.reason)}. Allow it in the broker's access list."
            )

    async def lost(self) -> None:
        """Waits until the connection is gone; raises BrokerError with the cause."""
        await asyncio.shield(self._ended)
        raise self._why or BrokerError("the broker ended the connection")

    async def leave(self) -> None:
        """Sends DISCONNECT behind everything that was written, and waits until the broker hangs up.

        It does so when it has read all that stands before. Were we to hang up first, a next
        connection of the same id might end this one while acknowledgements are still unread.
        """
        try:
            if self._is_open and self._transport is not None:
                self._write(packets.DISCONNECT)
                self._is_open = False
                self._transport.resume_reading()  # or we would not see it hang up
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LEAVE_S):
                        await asyncio.shield(self._ended)
        finally:
            self.abort()

    def abort(self) -> None:
        """Drops the connection at once, without a DISCONNECT."""
        self._is_open = False
        self._stop_timers()
        if self._transport is not None:
            self._transport.abort()

    async def accepted(self) -> None:
        """Waits for CONNACK."""
        await self._accepted

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Says who we are."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        transport.set_write_buffer_limits(high=_WRITE_BUFFER)
        self._transport = transport
        self._is_open = True
        try:
            self._write(packets.connect(self._session()))
        except ValueError as error:
            self._fail(BrokerError(f"CONNECT: {error}"))

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where a read goes: always here, so that none asks the system for memory."""
        del sizehint
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Takes a read; what comes after our good-bye is nobody's."""
        if not self._is_open:
            return
        now = self._loop.time()
        since_s, self._heard_at = now - self._heard_at, now
        self._reader.feed(bytes(self._buffer[:nbytes]))
        if self._is_paused:
            return
        packets_read = self._take()
        is_fast = packets_read >= _MANY and packets_read * _GATHER_S >= _MANY * since_s
        if is_fast and not self._is_paused:
            self._gather()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends everything that waits."""
        self._is_open = False
        self._stop_timers()
        if self._why is None:
            self._why = self._cause(exc)
        if not self._accepted.done():
            self._accepted.set_exception(self._why)
        if self._granted is not None and not self._granted.done():
            self._granted.set_exception(self._why)
        if not self._ended.done():
            self._ended.set_result(None)

    def pause_writing(self) -> None:
        """Too much of what was written waits to leave."""
        self._is_writable = False

    def resume_writing(self) -> None:
        """It has left."""
        self._is_writable = True
        self._listener.writable()

    # Reading.

    def _gather(self) -> None:
        """Leaves the socket alone for a moment: packets come fast, and each read costs the same."""
        if self._gathering is None and self._transport is not None:
            self._transport.pause_reading()
            self._gathering = self._loop.call_later(_GATHER_S, self._go_on)

    def _go_on(self) -> None:
        self._gathering = None
        if self._is_paused or not self._is_open:
            return
        if self._reader.waiting_bytes:
            self._take()
        if not self.is_paused and self._transport is not None:
            self._transport.resume_reading()

    def _take(self) -> int:
        """Hands on what is whole, as far as there is room for it; how many packets it was."""
        count = 0
        while True:
            try:
                read = self._read()
            except MalformedError as error:
                self._fail(BrokerError(f"the broker broke the protocol: {error}"))
                return 0
            count += len(read.arrivals) + len(read.acknowledged)
            if read.acknowledged:
                self._writer.done(read.acknowledged)
                self._listener.acknowledged(read.acknowledged, read.refused)
            if len(read.arrivals):
                self._listener.arrived(read.arrivals)
            if not read.is_full or self.is_paused:
                return count
            if not len(read.arrivals):
                self.pause()  # the owner, who has no room, resumes when it has
                return count

    def _read(self) -> Read:
        """The next batch; what is neither an input nor an answer is seen to here."""
        read = self._reader.read(*self._listener.room())
        for packet in read.others:
            self._handle(packet)
        if not self._accepted.done() and (len(read.arrivals) or read.acknowledged):
            raise MalformedError("messages before it accepted us")
        return read

    def _handle(self, packet: Packet) -> None:
        match packet.kind:
            case PacketType.CONNACK:
                self._connack(packet.body)
            case PacketType.SUBACK:
                if len(packet.body) < _SHORTEST_SUBACK:
                    raise MalformedError("a SUBACK that does not fit")
                _properties_of(packet.body, 2)  # whoever waits can't end the connection
                if self._granted is not None and not self._granted.done():
                    self._granted.set_result(packet)
            case PacketType.PINGRESP:
                pass  # heard, which is what counts
            case PacketType.DISCONNECT:
                code = packet.body[0] if packet.body else 0
                reason = _properties_of(packet.body, 1).reason
                self._fail(
                    BrokerError(f"the broker ended the connection: {reason_text(code, reason)}")
                )
            case _:
                raise MalformedError(f"a packet of type {packet.kind}, which a broker never sends")

    def _connack(self, body: bytes) -> None:
        """Section 3.2."""
        if len(body) < 2 or self._accepted.done():  # noqa: PLR2004 - flags and code
            raise MalformedError("a CONNACK that does not fit")
        code, properties = body[1], _properties_of(body, 2)
        if code:
            self._fail(self._refused(code, properties.reason))
            return
        numbers = properties.numbers
        if not numbers.get(0x24, 1):
            self._fail(BrokerError(f"broker {self._options.name} allows QoS 0 only: use another"))
            return
        self._writer = PacketWriter(
            packet_limit=numbers.get(0x27, PACKET_LIMIT),
            retains=bool(numbers.get(0x25, 1)),
            alias_maximum=numbers.get(0x22, 0),
        )
        self._keepalive_s = float(numbers.get(0x13, self._options.keepalive_s))
        self._keep_alive()
        self._listener.connected(
            Greeting(
                session_present=bool(body[0] & 1),
                receive_maximum=numbers.get(0x21, PACKET_ID_MAXIMUM),
                packet_limit=numbers.get(0x27, PACKET_LIMIT),
                certificate_ends=self._certificate_ends(),
            )
        )
        self._accepted.set_result(None)

    def _certificate_ends(self) -> float | None:
        if self._transport is None:
            return None
        return certificate_end(self._transport.get_extra_info("peercert"))

    def _refused(self, code: int, reason: str | None) -> BrokerError:
        if code in _NOT_AUTHORIZED:
            return not_authorized(self._options, reason_text(code, reason))
        text = f"broker {self._options.name}: {reason_text(code, reason)}"
        return VersionError(text) if code in _WRONG_VERSION else BrokerError(text)

    def _cause(self, exc: Exception | None) -> BrokerError:
        if not self._accepted.done():
            # So answer some brokers that do not know this version.
            return VersionError(
                f"broker {self._options.name}: the broker closed the connection before it "
                "answered CONNECT"
            )
        return BrokerError("the broker ended the connection" if exc is None else _plain(exc))

    # Writing.

    def _write(self, data: bytes) -> None:
        if self._transport is not None and self._is_open:
            self._transport.write(data)

    def _session(self) -> packets.Session:
        return packets.Session(
            client_id=self._link.client_id,
            keepalive_s=self._options.keepalive_s,
            session_expiry_s=self._link.session_expiry_s,
            maximum_packet=MAXIMUM_PACKET,
            topic_aliases=_ALIASES,
            receive_maximum=self._link.receive_maximum,
            username=self._options.username,
            password=self._options.password,
            will=self._link.will,
        )

    async def _answer_to(self, topic_filter: str, granted: asyncio.Future[Packet]) -> Packet:
        while True:
            await asyncio.wait((granted,), timeout=self._options.timeout_s)
            if granted.done():
                return granted.result()
            # Behind a full window the answer is not read: that is no silence of the broker's.
            if not self._is_paused:
                raise BrokerError(f'subscribe "{topic_filter}": the broker did not answer in time')

    # The keep-alive, and the end.

    def _keep_alive(self) -> None:
        """Pings twice in each keep-alive, and gives up where nothing comes back."""
        if not self._is_open or not self._keepalive_s:
            return
        silence_s = self._loop.time() - self._heard_at
        # While reading is paused nothing can be heard, and our pings keep the broker content.
        if silence_s > 1.5 * self._keepalive_s and not self._is_paused:
            self._fail(BrokerError(f"the broker was silent for {silence_s:.0f} s"))
            return
        self._write(packets.PINGREQ)
        self._keeper = self._loop.call_later(self._keepalive_s / 2, self._keep_alive)

    def _stop_timers(self) -> None:
        for timer in (self._keeper, self._gathering):
            if timer is not None:
                timer.cancel()

    def _fail(self, error: BrokerError) -> None:
        """Ends the connection for a cause of its own."""
        if self._why is None:
            self._why = error
        self.abort()


def _retrieve(answer: asyncio.Future[Any]) -> None:
    """Where nobody waits for an answer any more, its cause is no unhandled error."""
    if not answer.cancelled():
        answer.exception()


def _properties_of(body: bytes, at: int) -> Properties:
    """The properties that stand in a packet's body at a place, none where it ends before."""
    if len(body) <= at:
        return Properties()
    try:
        length, start = variable(body, at)
    except IndexError:
        raise MalformedError("properties that are cut off") from None
    return read_properties(body[start : start + length])


def _plain(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"  # asyncio words it as the address that was tried
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
