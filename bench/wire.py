"""Lean MQTT for measuring with: QoS 1, and the few packets that it needs.

What is measured is the service, not the one who measures. So a feeder and a sink do as little for
each message as a client can, and what came in is kept as it was read, to be looked into when the
clock has stopped. They trust their broker and are no clients for anything else.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

__all__ = [
    "LAST_ID",
    "Feeder",
    "Opened",
    "Sink",
    "Version",
    "messages",
    "open_link",
    "publish_packet",
    "text",
]

Version = Literal["3.1.1", "5"]

LAST_ID: Final = 65535
_PUBLISH: Final = 0x30
_LEVELS: Final[dict[Version, int]] = {"3.1.1": 4, "5": 5}
_ANSWER_S: Final = 10.0
_KEEPALIVE: Final = struct.pack("!H", 36_000)  # 10 hours: rumqttd refuses to do without
_RECEIVE_MAXIMUM: Final = 0x21
#: How many bytes the value of a CONNACK's property has, where it has a fixed number.
_WIDTHS: Final = {
    **dict.fromkeys((0x24, 0x25, 0x28, 0x29, 0x2A), 1),
    **dict.fromkeys((0x13, _RECEIVE_MAXIMUM, 0x22), 2),
    **dict.fromkeys((0x11, 0x27), 4),
}

#: Told whole packets as they were read, how many they are, and the monotonic time of it.
OnRead = Callable[[bytes, int, float], None]
#: Told how many publishes the broker acknowledged in one read.
OnAcknowledged = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection that the broker accepted, with nobody listening on it yet.

    Attributes:
        window: how many publishes the broker takes without having acknowledged them.
    """

    transport: asyncio.Transport
    window: int


class Link(asyncio.Protocol):
    """What every connection has: a transport, and an error where it was cut.

    Args:
        rest_s: how long to read nothing after each read. A broker that writes packet by packet
            would else wake its reader for each, and that costs more than all that is done with it.
    """

    def __init__(self, transport: asyncio.Transport, rest_s: float = 0.0) -> None:
        self.transport = transport
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._rest_s = rest_s

    def rest(self) -> None:
        """Lets what comes in gather for a while."""
        if self._rest_s:
            self.transport.pause_reading()
            asyncio.get_running_loop().call_later(self._rest_s, self._go_on)

    def _go_on(self) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_exception(exc or ConnectionError("the broker closed the connection"))


class Feeder(Link):
    """Publishes with MQTT 3.1.1; all that comes in are PUBACKs, of four bytes each."""

    def __init__(
        self, transport: asyncio.Transport, on_acknowledged: OnAcknowledged, rest_s: float
    ) -> None:
        super().__init__(transport, rest_s)
        self._on_acknowledged = on_acknowledged
        self._odd = 0

    def data_received(self, data: bytes) -> None:
        self.rest()
        whole, self._odd = divmod(self._odd + len(data), 4)
        if whole:
            self._on_acknowledged(whole)


class Sink(Link):
    """Subscribes with MQTT 3.1.1: acknowledges each message, and hands over whole reads."""

    def __init__(self, transport: asyncio.Transport, on_read: OnRead, rest_s: float) -> None:
        super().__init__(transport, rest_s)
        self._on_read = on_read
        self._unread = b""

    def data_received(self, data: bytes) -> None:
        at = time.monotonic()
        self.rest()
        if self._unread:
            data = self._unread + data
        answers: list[bytes] = []
        position, end = 0, len(data)
        # The one loop of the measurement that runs for each message while the clock does.
        try:
            while position < end:
                length, body = data[position + 1], position + 2
                if length > 0x7F:
                    length, body = _longer(data, length, body)
                stop = body + length
                if stop > end:
                    break
                packet_id = body + 2 + (data[body] << 8 | data[body + 1])
                answers.append(data[packet_id : packet_id + 2])
                position = stop
        except IndexError:  # the packet's beginning is not whole yet
            pass
        if position < end:
            data, self._unread = data[:position], data[position:]
        else:
            self._unread = b""
        if answers:
            self.transport.write(b"\x40\x02" + b"\x40\x02".join(answers))
            self._on_read(data, len(answers), at)


def messages(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Of each PUBLISH (3.1.1, QoS 1) in a read: where topic and payload begin, where it ends."""
    position = 0
    while position < len(data):
        length, body = data[position + 1], position + 2
        if length > 0x7F:
            length, body = _longer(data, length, body)
        payload = body + 4 + (data[body] << 8 | data[body + 1])
        position = body + length
        yield body + 2, payload, position


async def open_link(
    port: int,
    name: str,
    *,
    version: Version = "3.1.1",
    session: bool = False,
    subscribe: tuple[str, ...] = (),
) -> Opened:
    """A connection to 127.0.0.1, subscribed at QoS 1; ``session`` for one that is kept (MQTT 5).

    Raises:
        ConnectionError: the broker refused the connection or a subscription.
    """
    loop = asyncio.get_running_loop()
    transport, hand = await loop.create_connection(_Handshake, "127.0.0.1", port)
    answer = await hand.ask(_connect_packet(name, version, session=session))
    if answer[3] != 0:
        raise ConnectionError(f"the broker refused {name}: {answer[3]}")
    properties = b"\x00" if version == "5" else b""
    for number, topic in enumerate(subscribe, 1):
        body = struct.pack("!H", number) + properties + text(topic) + b"\x01"
        granted = (await hand.ask(_packet(0x82, body)))[-1]
        if granted != 1:
            raise ConnectionError(f"the broker refused the subscription to {topic}")
    return Opened(transport, _window(answer) if version == "5" else LAST_ID)


class _Handshake(asyncio.Protocol):
    """Asks and waits, until the connection gets the protocol that it is for."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._got = b""
        self._answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._answer.done():
            self._answer.set_exception(exc or ConnectionError("the broker closed the connection"))

    async def ask(self, packet: bytes) -> bytes:
        """Sends a CONNECT or SUBSCRIBE; the packet that answers it."""
        assert self._transport is not None  # noqa: S101 - for the type checker
        self._got, self._answer = b"", asyncio.get_running_loop().create_future()
        self._transport.write(packet)
        return await asyncio.wait_for(self._answer, _ANSWER_S)

    def data_received(self, data: bytes) -> None:
        self._got += data
        if len(self._got) > 1 and len(self._got) == 2 + self._got[1]:
            self._answer.set_result(self._got)


def publish_packet(topic: str, payload: bytes) -> tuple[bytes, int]:
    """A PUBLISH (3.1.1) at QoS 1 with the packet id 0, and where in it the packet id stands."""
    encoded = text(topic)
    packet = _packet(_PUBLISH | 2, encoded + b"\x00\x00" + payload)
    return packet, len(packet) - len(payload) - 2


def text(value: str) -> bytes:
    """A string as MQTT writes it."""
    encoded = value.encode()
    return struct.pack("!H", len(encoded)) + encoded


def _connect_packet(name: str, version: Version, *, session: bool) -> bytes:
    flags = 0 if session else 2
    body = text("MQTT") + bytes((_LEVELS[version], flags)) + _KEEPALIVE
    if version == "5":
        expiry = b"\x11" + struct.pack("!I", 3600 if session else 0)
        body += _packet_length(len(expiry) + 3) + expiry + struct.pack("!BH", 0x21, 10_000)
    return _packet(0x10, body + text(name))


def _window(answer: bytes) -> int:
    """The Receive Maximum that a CONNACK of MQTT 5 names."""
    at = 5
    while at < len(answer):
        name = answer[at]
        if name == _RECEIVE_MAXIMUM:
            return int.from_bytes(answer[at + 1 : at + 3])
        width = _WIDTHS.get(name)
        at += 1 + (width if width is not None else 2 + int.from_bytes(answer[at + 1 : at + 3]))
    return LAST_ID


def _longer(data: bytes, length: int, body: int) -> tuple[int, int]:
    """A length of more than one byte, of which the first is known; and where the body begins."""
    length, shift = length & 0x7F, 7
    while data[body] > 0x7F:
        length |= (data[body] & 0x7F) << shift
        body, shift = body + 1, shift + 7
    return length | data[body] << shift, body + 1


def _packet(head: int, body: bytes) -> bytes:
    return bytes((head,)) + _packet_length(len(body)) + body


def _packet_length(length: int) -> bytes:
    sizes = bytearray()
    while length > 0x7F:
        sizes.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes((*sizes, length))
