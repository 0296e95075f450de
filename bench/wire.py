"""A lean MQTT 3.1.1 connection for measuring with: QoS 1 both ways, nothing else.

It does as little as a client can for each message, so that what is measured is the service and not
the one who measures. It trusts its broker and is no client for anything else.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Callable
from typing import Final

__all__ = ["Wire", "connect", "publish_packet"]

_CONNACK: Final = 2
_PUBLISH: Final = 3
_PUBACK: Final = 4
_SUBACK: Final = 9
_LAST_ID: Final = 65535

#: Told the payloads of one read and the monotonic time of it.
OnMessages = Callable[[list[bytes], float], None]
#: Told how many publishes the broker acknowledged in one read.
OnAcknowledged = Callable[[int], None]


class Wire(asyncio.Protocol):
    """One connection; what comes in is handed over by the read, not by the message."""

    def __init__(self, on_messages: OnMessages, on_acknowledged: OnAcknowledged) -> None:
        self._on_messages = on_messages
        self._on_acknowledged = on_acknowledged
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._answer.done():
            self._answer.set_exception(exc or ConnectionError("the broker closed the connection"))

    def write(self, packets: bytes) -> None:
        assert self._transport is not None  # noqa: S101 - for the type checker
        self._transport.write(packets)

    async def ask(self, packet: bytes) -> int:
        """Sends a CONNECT or SUBSCRIBE; the last byte of the answer."""
        self._answer = asyncio.get_running_loop().create_future()
        self.write(packet)
        return await asyncio.wait_for(self._answer, 10)

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        payloads: list[bytes] = []
        answers: list[bytes] = []
        acknowledged, position, end = 0, 0, len(data)
        while (frame := _frame(data, position, end)) is not None:
            body, stop = frame
            kind = data[position] >> 4
            if kind == _PUBLISH:
                packet_id = body + 2 + (data[body] << 8 | data[body + 1])
                answers.append(data[packet_id : packet_id + 2])
                payloads.append(data[packet_id + 2 : stop])
            elif kind == _PUBACK:
                acknowledged += 1
            elif kind in {_CONNACK, _SUBACK}:
                self._answer.set_result(data[stop - 1])
            position = stop
        self._rest = data[position:]
        if acknowledged:
            self._on_acknowledged(acknowledged)
        if payloads:
            self.write(b"\x40\x02" + b"\x40\x02".join(answers))
            self._on_messages(payloads, time.monotonic())


def _frame(data: bytes, position: int, end: int) -> tuple[int, int] | None:
    """Where the packet's body begins and ends; None where the packet is not whole yet."""
    at, length, shift = position + 1, 0, 0
    while at < end:
        length |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return (at, at + length) if at + length <= end else None
        shift += 7
    return None


async def connect(
    port: int,
    name: str,
    *,
    on_messages: OnMessages = lambda _payloads, _at: None,
    on_acknowledged: OnAcknowledged = lambda _count: None,
    subscribe: tuple[str, ...] = (),
) -> Wire:
    """A connection to 127.0.0.1, subscribed at QoS 1.

    Raises:
        ConnectionError: the broker refused the connection or a subscription.
    """
    loop = asyncio.get_running_loop()
    _, wire = await loop.create_connection(
        lambda: Wire(on_messages, on_acknowledged), "127.0.0.1", port
    )
    hello = b"\x00\x04MQTT\x04\x02" + struct.pack("!H", 0) + _text(name)  # no keepalive
    if await wire.ask(_packet(0x10, hello)) != 0:
        raise ConnectionError(f"the broker refused {name}")
    for number, topic in enumerate(subscribe, 1):
        granted = await wire.ask(_packet(0x82, struct.pack("!H", number) + _text(topic) + b"\x01"))
        if granted != 1:
            raise ConnectionError(f"the broker refused the subscription to {topic}")
    return wire


def publish_packet(topic: str, payload: bytes, number: int) -> bytes:
    """A PUBLISH at QoS 1; ``number`` counts messages, the packet id follows from it."""
    packet_id = struct.pack("!H", number % _LAST_ID + 1)
    return _packet(0x32, _text(topic) + packet_id + payload)


def _packet(head: int, body: bytes) -> bytes:
    length, sizes = len(body), bytearray()
    while length >= 0x80:
        sizes.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes((head, *sizes, length)) + body


def _text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("!H", len(encoded)) + encoded
