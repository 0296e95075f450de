"""The feed: real messages on a real broker, at the rate that was asked for."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import aiomqtt
import orjson
import yaml

from geoweir.demo.broker import embedded_broker
from geoweir.demo.config import DATA_DIR, demo_yaml
from geoweir.demo.feed import BusRound, RecordedReceiver, bus_message, run_feed
from geoweir.demo.fleet import Fix, Fleet
from geoweir.demo.receiver import ReceiverFix
from geoweir.mqtt.options import BrokerOptions

FIX = Fix("R-110-1", "110", 145.77, -16.92, 8.26, 271.04, 1_700_000_000.25)


def test_a_bus_message_is_a_geojson_feature() -> None:
    message = bus_message(FIX)
    assert message.topic == "demo/buses/R-110-1"
    assert message.qos == 1
    assert orjson.loads(message.payload) == {
        "type": "Feature",
        "id": "R-110-1",
        "geometry": {"type": "Point", "coordinates": [145.77, -16.92]},
        "properties": {
            "route": "110",
            "speed": 8.3,
            "course": 271.0,
            "time": "2023-11-14T22:13:20.250Z",
        },
    }


def test_buses_take_turns() -> None:
    fleet = Fleet.load(DATA_DIR)
    count = len(fleet.active(0.0))
    turns = BusRound(fleet)
    ids = [fix.id for _ in range(count) for fix in turns.take(1, 0.0)]
    assert len(set(ids)) == count
    assert turns.take(1, 0.0)[0].id == ids[0]


def test_a_receiver_plays_its_log_in_its_own_time_and_begins_again() -> None:
    log = [ReceiverFix(5.0, 52.0, None, None, time) for time in (100.0, 101.0, 99.0, 103.0)]
    receiver = RecordedReceiver("one", log, 1_700_000_000.0)
    assert len(receiver.take(1.0)) == 3  # the clock that steps back stands still
    assert len(receiver.take(4.9)) == 0
    assert len(receiver.take(5.0)) == 1
    assert len(receiver.take(10.0)) == 1
    properties = orjson.loads(receiver.take(11.0)[0].payload)["properties"]
    assert properties["recorded"] == "1970-01-01T00:01:41.000Z"
    assert properties["time"] == "2023-11-14T22:13:31.000Z"


async def test_the_feed_publishes_buses_and_receivers_until_it_is_cancelled() -> None:
    async with (
        asyncio.timeout(30),
        embedded_broker() as broker,
        aiomqtt.Client(broker.host, broker.port) as outside,
    ):
        await outside.subscribe("demo/#", qos=1)
        options = BrokerOptions(host=broker.host, port=broker.port)
        feed = asyncio.ensure_future(run_feed(options, DATA_DIR, rate=400.0))
        seen: dict[str, datetime] = {}
        async for message in outside.messages:
            assert isinstance(message.payload, bytes)
            feature = orjson.loads(message.payload)
            seen[str(message.topic)] = datetime.fromisoformat(feature["properties"]["time"])
            if len(seen) >= 200 and len([t for t in seen if "receivers" in t]) == 2:
                break
        feed.cancel()
        await asyncio.wait([feed])
        assert feed.cancelled()
    now = datetime.now(UTC)
    assert all(abs((now - moment).total_seconds()) < 60 for moment in seen.values())


def test_the_configuration_is_yaml_with_the_two_streams() -> None:
    document = yaml.safe_load(demo_yaml("mqtt://127.0.0.1:1883", 9108, protocol="3.1.1"))
    assert set(document["streams"]) == {"buses", "receivers"}
    assert document["mqtt"]["protocol"] == "3.1.1"
    assert document["http"] == {"listen": "127.0.0.1:9108"}
    assert document["layers"]["stops"]["path"] == str(DATA_DIR / "stops.geojson.gz")
