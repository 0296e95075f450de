"""The raw echo of the bench: it acknowledges an input after its output, and keeps to the window."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from raw_echo import Echo
from wire import text


class Transport(asyncio.Transport):
    """Remembers what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.reads = True

    def write(self, data: Any) -> None:
        self.written += data

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def is_reading(self) -> bool:
        return self.reads


def packet(body: bytes) -> bytes:
    assert 0x80 <= len(body) < 0x4000
    return bytes((0x32, len(body) & 0x7F | 0x80, len(body) >> 7)) + body


def message(topic: str, packet_id: int, properties: bytes = b"", pad: int = 150) -> bytes:
    head = text(topic) + packet_id.to_bytes(2) + bytes((len(properties),)) + properties
    return packet(head + b"p" * pad)


def puback(packet_id: int, reason: int | None = None) -> bytes:
    tail = b"" if reason is None else bytes((reason,))
    return bytes((0x40, 2 + len(tail))) + packet_id.to_bytes(2) + tail


@pytest.mark.parametrize("size", [1, 2, 3, 50, 10_000])
def test_messages_pass_and_acknowledgements_follow_however_the_reads_are_cut(size: int) -> None:
    inputs, outputs = Transport(), Transport()
    echo = Echo(inputs, outputs, 100)
    came = b"".join(
        message("bench/in/d", 7 + n, b"\x03\x00\x01x" if n % 2 else b"") for n in range(20)
    )
    for start in range(0, len(came), size):
        echo.read(came[start : start + size])
    assert outputs.written == b"".join(message("bench/out/d", 1 + n) for n in range(20))
    assert inputs.written == b""
    acks = b"".join(puback(1 + n, 16 if n % 3 else None) for n in range(20))
    for start in range(0, len(acks), size):
        echo.acknowledge(acks[start : start + size])
    assert inputs.written == b"".join(puback(7 + n) for n in range(20))


def test_no_more_outputs_are_under_way_than_the_window_allows() -> None:
    inputs, outputs = Transport(), Transport()
    echo = Echo(inputs, outputs, 3)
    echo.read(b"".join(message("bench/in/d", 1 + n) for n in range(5)))
    assert outputs.written == b"".join(message("bench/out/d", 1 + n) for n in range(3))
    echo.acknowledge(puback(1))
    assert outputs.written == b"".join(message("bench/out/d", 1 + n) for n in range(4))


def test_reading_stops_while_much_waits_for_the_window() -> None:
    inputs, outputs = Transport(), Transport()
    echo = Echo(inputs, outputs, 1)
    echo.read(b"".join(message("bench/in/d", 1 + n, pad=16_000) for n in range(64)))
    assert not inputs.reads
    for number in range(1, 4):
        echo.acknowledge(puback(number))
    assert inputs.reads


def test_a_refused_output_ends_it() -> None:
    echo = Echo(Transport(), Transport(), 1)
    echo.read(message("bench/in/d", 1))
    with pytest.raises(ConnectionError, match="135"):
        echo.acknowledge(puback(1, 135))
