"""A broker that breaks the protocol costs a connection, and never the service."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from geoweir.core.lane import Batch, LaneOpened
from geoweir.mqtt.inlet import MqttInlet
from geoweir.mqtt.options import BrokerOptions

DISCONNECT = b"\xe0\x00"
CONNACK = b"\x20\x03\x00\x00\x00"
SUBACK = b"\x90\x04\x00\x01\x00\x01"
PUBLISH = b"\x32\x08\x00\x01a\x00\x01\x00hi"
BROKEN = {
    "an-input-before-connack": (PUBLISH, b""),
    "an-acknowledgement-before-connack": (b"\x40\x02\x00\x01", b""),
    "an-input-and-a-refusal": (PUBLISH + b"\x20\x03\x00\x87\x00", b""),
    "connack-twice": (CONNACK + CONNACK, b""),
    "connack-cut": (b"\x20\x01\x00", b""),
    "connack-properties-cut": (b"\x20\x05\x00\x00\x80\x80\x80", b""),
    "connack-properties-unknown": (b"\x20\x05\x00\x00\x02\xff\x00", b""),
    "suback-properties-cut": (CONNACK, b"\x90\x04\x00\x01\x80\x80"),
    "suback-properties-unknown": (CONNACK, b"\x90\x06\x00\x01\x02\xff\x00\x01"),
    "suback-empty": (CONNACK, b"\x90\x00"),
    "suback-without-a-code": (CONNACK, b"\x90\x03\x00\x01\x00"),
    "disconnect-properties-cut": (CONNACK, b"\xe0\x03\x00\x80\x80"),
    "a-length-of-five-bytes": (CONNACK, b"\x30\xff\xff\xff\xff\x01"),
    "a-packet-over-our-maximum": (CONNACK, b"\x30\xff\xff\xff\x7f"),
    "qos-2": (CONNACK, b"\x34\x08\x00\x01a\x00\x01\x00hi"),
    "an-unknown-alias": (CONNACK, b"\x30\x06\x00\x00\x03\x23\x00\x05"),
    "a-request": (CONNACK, b"\x10\x02\x00\x00"),
}


@contextlib.asynccontextmanager
async def broker(connack: bytes, rest: bytes) -> AsyncIterator[int]:
    """Breaks the protocol on its first connection, and keeps to it from then on."""
    breaks = [(connack, rest)]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello, answer = breaks.pop() if breaks else (CONNACK, SUBACK + PUBLISH)
        with contextlib.suppress(ConnectionError), contextlib.closing(writer):
            await reader.read(1000)
            writer.write(hello)
            await writer.drain()
            if await reader.read(1000):
                writer.write(answer)
            while not (await reader.read(1000) or DISCONNECT).endswith(DISCONNECT):
                pass
        served.set()

    served = asyncio.Event()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        await served.wait()


def inlet_at(port: int, told: list[str]) -> MqttInlet:
    def on_link(*, up: bool, why: str) -> None:
        if not up:
            told.append(why)

    return MqttInlet(
        lane="in",
        client_id="t",
        options=BrokerOptions(host="127.0.0.1", port=port, protocol="5", timeout_s=0.5),
        filters=("a",),
        qos=1,
        window=10,
        window_bytes=1000,
        on_link=on_link,
    )


async def first_batch(inlet: MqttInlet) -> Batch:
    is_open = False
    async for event in inlet.batches():
        is_open = isinstance(event, LaneOpened) or (is_open and isinstance(event, Batch))
        if isinstance(event, Batch):
            assert is_open, "an input of an epoch that was never opened"
            return event
    raise AssertionError("the inlet ended")


@pytest.mark.parametrize("case", BROKEN)
async def test_a_broker_that_breaks_the_protocol_is_left_and_tried_again(case: str) -> None:
    unhandled: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
    told: list[str] = []
    async with broker(*BROKEN[case]) as port:
        inlet = inlet_at(port, told)
        running = asyncio.ensure_future(inlet.run())
        reading = asyncio.ensure_future(first_batch(inlet))
        await asyncio.wait((running, reading), return_when=asyncio.FIRST_COMPLETED, timeout=20)
        assert not running.done(), running.exception()
        batch = reading.result()
        await inlet.disconnect()
        await running
    # It came over the second connection, the first that the broker accepted properly.
    assert batch.payloads == [b"hi"]
    assert told[0] != "closed"
    assert unhandled == []
