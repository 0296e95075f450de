"""Which version of MQTT is spoken, and when that changes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import cast
from unittest import mock

import pytest

from geoweir.errors import BrokerError
from geoweir.mqtt.dial import Protocols, dial
from geoweir.mqtt.link import Link, LinkOptions, Listener
from geoweir.mqtt.options import BrokerOptions

CONNACK = b"\x20\x03\x00\x00\x00"


@contextlib.asynccontextmanager
async def broker(*cuts: bool) -> AsyncIterator[tuple[BrokerOptions, list[int]]]:
    """A broker that cuts some connections before its answer; the versions that it was asked for."""
    versions: list[int] = []
    waiting = list(cuts)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError), contextlib.closing(writer):
            versions.append((await reader.read(1000))[8])
            if not waiting.pop(0):
                writer.write(CONNACK)
                await reader.read(1000)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield BrokerOptions(host="127.0.0.1", port=port), versions


def connect(
    options: BrokerOptions, protocols: Protocols
) -> contextlib.AbstractAsyncContextManager[Link]:
    listener = cast("Listener", mock.Mock(room=lambda: (1, 1)))
    return dial(options, protocols, LinkOptions(client_id="t", session_expiry_s=0), listener)


async def test_a_connection_cut_before_its_answer_is_no_reason_to_forget_mqtt_5() -> None:
    protocols = Protocols("auto")
    async with broker(False, True, False) as (options, versions):
        async with connect(options, protocols):
            pass
        with pytest.raises(BrokerError):
            async with connect(options, protocols):
                pass
        async with connect(options, protocols):
            assert protocols.is_v5
    assert versions == [5, 5, 5]


async def test_where_neither_version_had_an_answer_the_next_try_begins_with_mqtt_5() -> None:
    protocols = Protocols("auto")
    async with broker(True, True, False) as (options, versions):
        with pytest.raises(BrokerError):
            async with connect(options, protocols):
                pass
        async with connect(options, protocols):
            assert protocols.is_v5
    assert versions == [5, 4, 5]
