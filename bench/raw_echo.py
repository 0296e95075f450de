"""The raw echo: the least that a Python client can do with each message, MQTT 5, QoS 1.

Two connections on asyncio protocols. It reads no payload, keeps no account, starts no worker, and
acknowledges an input when the broker has acknowledged its output. What a service carries beside it
is what that service's own work leaves of the loop.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import signal
from collections.abc import Callable
from typing import Final

from topics import IN, OUT
from wire import LAST_ID, Link, open_link, text

_IDS: Final = [number.to_bytes(2) for number in range(LAST_ID + 1)]
_ACKNOWLEDGED: Final = b"\x40\x02"
_MOST_UNREAD: Final = 1_000_000  # bytes; beyond it the input is not read until outputs are through
_UNUSUAL: Final = 0x80  # a refusal, among the reasons of a PUBACK


class Reading(Link):
    """A connection that hands over what it reads."""

    def __init__(self, transport: asyncio.Transport, on_data: Callable[[bytes], None]) -> None:
        super().__init__(transport)
        self._on_data = on_data

    def data_received(self, data: bytes) -> None:
        self._on_data(data)


class Echo:
    """Passes every message on.

    Args:
        inputs: subscribed.
        outputs: for publishing.
        window: outputs without acknowledgement that the broker allows.
    """

    def __init__(self, inputs: asyncio.Transport, outputs: asyncio.Transport, window: int) -> None:
        self._inputs, self._outputs, self._window = inputs, outputs, window
        self._unread = self._unread_acks = b""
        self._waiting = [b""] * (LAST_ID + 1)  # by the output's packet id: the input's
        self._number = self._under_way = 0

    def read(self, data: bytes) -> None:
        """Takes inputs; what the window has no room for stays as it is."""
        data = self._unread + data
        position, parts = self._outputs_of(data)
        self._unread = data[position:]
        if parts:
            self._outputs.write(b"".join(parts))
        if len(self._unread) > _MOST_UNREAD:
            self._inputs.pause_reading()

    def _outputs_of(self, data: bytes) -> tuple[int, list[bytes]]:
        parts: list[bytes] = []
        position, end = 0, len(data)
        number, waiting, room = self._number, self._waiting, self._window - self._under_way
        try:
            while position < end and room:
                length, body = data[position + 1], position + 2
                if length > 0x7F:
                    length, body = _varint(data, position + 1)
                stop = body + length
                if stop > end:
                    break
                at = body + 2 + (data[body] << 8 | data[body + 1])
                topic = _output_topic(data[body:at])
                payload = at + 3
                if data[at + 2]:  # there are properties
                    properties, payload = _varint(data, at + 2)
                    payload += properties
                number = number % LAST_ID + 1
                waiting[number] = data[at : at + 2]
                size = len(topic) + 3 + stop - payload
                parts += (_head(size), topic, _IDS[number], b"\x00", data[payload:stop])
                position, room = stop, room - 1
        except IndexError:  # the packet's beginning is not whole yet
            pass
        self._number, self._under_way = number, self._window - room
        return position, parts

    def acknowledge(self, data: bytes) -> None:
        """Takes the outputs' acknowledgements and gives the inputs theirs, in the same order."""
        data = self._unread_acks + data
        answers: list[bytes] = []
        position, end = 0, len(data)
        while position + 1 < end and (stop := position + 2 + data[position + 1]) <= end:
            if data[position + 1] > 2 and data[position + 4] >= _UNUSUAL:
                raise ConnectionError(f"the broker refused an output: {data[position + 4]}")
            answers.append(self._waiting[data[position + 2] << 8 | data[position + 3]])
            position = stop
        self._unread_acks = data[position:]
        if not answers:
            return
        self._inputs.write(_ACKNOWLEDGED + _ACKNOWLEDGED.join(answers))
        self._under_way -= len(answers)
        if self._unread:
            self.read(b"")
            if len(self._unread) <= _MOST_UNREAD and not self._inputs.is_reading():
                self._inputs.resume_reading()


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A length and where it ends."""
    value = data[at]
    if value <= 0x7F:
        return value, at + 1
    value, shift = value & 0x7F, 7
    while data[at := at + 1] > 0x7F:
        value, shift = value | (data[at] & 0x7F) << shift, shift + 7
    return value | data[at] << shift, at + 1


@functools.lru_cache(maxsize=100_000)
def _output_topic(topic: bytes) -> bytes:
    return text(OUT + topic[2:].decode().removeprefix(IN))


@functools.lru_cache(maxsize=10_000)
def _head(size: int) -> bytes:
    """The beginning of a PUBLISH at QoS 1 whose body has so many bytes."""
    sizes = bytearray((0x32,))
    while size > 0x7F:
        sizes.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes((*sizes, size))


async def serve(port: int) -> None:
    """Echoes until SIGTERM, or until a connection is cut."""
    outputs = await open_link(port, "raw-echo-out", version="5")
    inputs = await open_link(port, "raw-echo-in", version="5", session=True, subscribe=(f"{IN}+",))
    echo = Echo(inputs.transport, outputs.transport, outputs.window)
    links = [
        Reading(outputs.transport, echo.acknowledge),
        Reading(inputs.transport, echo.read),
    ]
    for link in links:
        link.transport.set_protocol(link)
    told = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set_result, None)
    print("ready", flush=True)
    done, _ = await asyncio.wait(
        [told, *(link.lost for link in links)], return_when=asyncio.FIRST_COMPLETED
    )
    for ended in done:
        ended.result()


if __name__ == "__main__":
    _parser = argparse.ArgumentParser()
    _parser.add_argument("--port", type=int, required=True)
    asyncio.run(serve(_parser.parse_args().port))
