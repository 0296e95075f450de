"""``geoweir replay`` on a real broker: every message arrives, in order, and is accounted for."""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import aiomqtt
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from geoweir.cli import replay
from geoweir.cli.command import main
from geoweir.cli.progress import Progress
from geoweir.cli.publisher import Pace, Plan, Publisher, Tally
from geoweir.errors import BrokerError, UsageError
from geoweir.mqtt.options import BrokerOptions
from support.mosquitto import Mosquitto, mosquitto
from support.samples import sample


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path) as running:
        yield running


@pytest.fixture
def track(tmp_path: Path) -> Path:
    return csv(tmp_path / "track.csv", 300)


def csv(path: Path, count: int) -> Path:
    rows = [f"{n},a/{n % 3},{1_700_000_000 + n / 100:.2f},-16.9,145.7" for n in range(count)]
    path.write_text("n,id,time,lat,lon\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def publisher(broker: Mosquitto, progress: io.StringIO | None = None, **plan: Any) -> Publisher:
    options = BrokerOptions(host="127.0.0.1", port=broker.port)
    return Publisher(Plan(**plan), options, Progress("replay", progress or io.StringIO()))


@asynccontextmanager
async def outside(broker: Mosquitto) -> AsyncIterator[aiomqtt.Client]:
    async with (
        asyncio.timeout(60),
        aiomqtt.Client(
            "127.0.0.1", broker.port, identifier="outside", clean_session=False
        ) as client,
    ):
        await client.subscribe("#", qos=1)
        yield client


async def seen(client: aiomqtt.Client, count: int) -> list[tuple[str, int]]:
    found = []
    for _ in range(count):
        message = await anext(client.messages)
        assert isinstance(message.payload, bytes)
        found.append((str(message.topic), json.loads(message.payload)["properties"]["n"]))
    return found


async def test_every_row_arrives_in_order_on_its_own_topic(broker: Mosquitto, track: Path) -> None:
    async with outside(broker) as client:
        tally = await publisher(broker, paths=[track], topic="t/{id}", rate=1e6).run()
        assert await seen(client, 300) == [(f"t/a%2F{n % 3}", n) for n in range(300)]
    assert (tally.sent, tally.acknowledged, tally.is_complete) == (300, 300, True)


async def test_qos_0_arrives_too(broker: Mosquitto, track: Path) -> None:
    async with outside(broker) as client:
        tally = await publisher(broker, paths=[track], topic="t", rate=1e6, qos=0).run()
        assert [n for _, n in await seen(client, 300)] == list(range(300))
    assert tally.is_complete
    assert "QoS 0" in str(tally)


async def test_several_files_follow_each_other_up_to_the_limit(
    broker: Mosquitto, track: Path
) -> None:
    plan: dict[str, Any] = {"paths": [track, track], "topic": "t", "rate": 1e6, "limit": 310}
    async with outside(broker) as client:
        tally = await publisher(broker, **plan).run()
        assert [n for _, n in await seen(client, 310)] == [*range(300), *range(10)]
    assert tally.acknowledged == 310


async def test_a_chosen_column_is_the_id_and_rows_without_it_are_skipped(
    broker: Mosquitto, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    path.write_text("n,id,bus,lat,lon\n1,x,7,0,0\n2,y,,0,0\n3,z,9,,\n", encoding="utf-8")
    plan: dict[str, Any] = {"paths": [path], "topic": "t/{id}", "rate": 1e6, "id_field": "bus"}
    async with outside(broker) as client:
        tally = await publisher(broker, **plan).run()
        assert await seen(client, 1) == [("t/7", 1)]
    assert tally.skipped == {"a record without bus": 1, "a row without a position": 1}
    assert "skipped 2 (a record without bus: 1, a row without a position: 1)" in str(tally)


async def test_a_recording_without_ids_has_the_name_of_its_file(
    broker: Mosquitto, tmp_path: Path
) -> None:
    path = tmp_path / "ride.txt"
    path.write_bytes(b"hello\n")
    async with outside(broker) as client:
        await publisher(broker, paths=[path], topic="t/{id}", rate=1e6).run()
        message = await anext(client.messages)
    assert (str(message.topic), message.payload) == ("t/ride", b"hello")


async def test_a_broker_that_ends_and_comes_back_gets_every_message(
    broker: Mosquitto, tmp_path: Path
) -> None:
    path = csv(tmp_path / "long.csv", 20_000)
    progress = io.StringIO()
    with Listener(broker.port) as listener:
        replaying = asyncio.ensure_future(
            publisher(broker, progress, paths=[path], topic="t", rate=5_000.0).run()
        )
        await asyncio.to_thread(listener.some.wait, 60)
        await asyncio.to_thread(broker.end)
        await asyncio.to_thread(broker.start)
        tally = await replaying
        await publisher(broker, paths=[csv(path, 0), last(tmp_path)], topic="t", rate=1.0).run()
        await asyncio.to_thread(listener.end.wait, 60)
    assert "connection lost" in progress.getvalue()
    assert tally.is_complete
    assert listener.numbers == {*range(20_000), -1}


def last(folder: Path) -> Path:
    path = folder / "last.json"
    path.write_text('{"properties": {"n": -1}}', encoding="utf-8")
    return path


class Listener:
    """A subscriber with a persistent session, which comes back by itself."""

    def __init__(self, port: int) -> None:
        self.numbers: set[int] = set()
        self.some = threading.Event()
        self.end = threading.Event()
        subscribed = threading.Event()
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id="listener", clean_session=False
        )
        self._client.reconnect_delay_set(1, 1)
        self._client.on_message = self._take
        self._client.on_connect = lambda client, *_: client.subscribe("t", qos=1)
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert subscribed.wait(30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _take(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        self.numbers.add(json.loads(message.payload)["properties"]["n"])
        if len(self.numbers) > 1_000:
            self.some.set()
        if -1 in self.numbers:
            self.end.set()


async def test_a_loop_goes_on_until_it_is_interrupted_and_then_counts(
    broker: Mosquitto, track: Path
) -> None:
    plan: dict[str, Any] = {"paths": [track], "topic": "t", "rate": 5_000.0, "loops": True}
    async with outside(broker) as client:
        task = asyncio.ensure_future(publisher(broker, **plan).run())
        numbers = [n for _, n in await seen(client, 700)]
        os.kill(os.getpid(), signal.SIGINT)
        tally = await task
    assert numbers == [n % 300 for n in range(700)]
    assert tally.is_complete
    assert tally.sent >= 700


async def test_without_times_a_rate_is_asked_for(broker: Mosquitto, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"hello\n")
    with pytest.raises(UsageError, match=r"no times\. Say how fast with --rate N"):
        await publisher(broker, paths=[path], topic="t").run()


@pytest.mark.samples
async def test_recorded_positions_arrive_whole(broker: Mosquitto) -> None:
    path = sample("tracks/ais_us_2022-01-03.csv.gz")
    plan: dict[str, Any] = {"paths": [path], "topic": "ais/{id}", "rate": 1e6, "limit": 2_000}
    async with outside(broker) as client:
        tally = await publisher(broker, **plan).run()
        for _ in range(2_000):
            message = await anext(client.messages)
            assert isinstance(message.payload, bytes)
            feature = json.loads(message.payload)
            assert str(message.topic) == f"ais/{feature['id']}"
    assert tally.acknowledged == 2_000


# The pace


def test_the_records_own_times_set_the_pace() -> None:
    pace = Pace(None, 2.0)
    times = [100.0, 104.0, 102.0, None, 104.0, 106.0]
    assert [pace.due(time) for time in times] == [0.0, 2.0, 2.0, 2.0, 2.0, 3.0]


def test_another_file_goes_on_where_the_last_one_ended() -> None:
    pace = Pace(None, 1.0)
    assert [pace.due(10.0), pace.due(15.0)] == [0.0, 5.0]
    pace.new_file()
    assert [pace.due(9_000.0), pace.due(9_001.0)] == [5.0, 6.0]


def test_a_rate_is_even() -> None:
    pace = Pace(4.0, 1.0)
    assert [pace.due(None) for _ in range(3)] == [0.0, 0.25, 0.5]


# The command


def test_the_last_line_says_what_became_of_all(
    broker: Mosquitto, track: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = broker.url
    assert main(["replay", str(track), "--topic", "t", "--rate", "100000", "--broker", url]) == 0
    assert capsys.readouterr().out.startswith(
        "sent 300, acknowledged 300, refused 0, skipped 0 in "
    )


def test_a_refused_message_is_no_success() -> None:
    tally = Tally(1, sent=2, acknowledged=1)
    tally.refused["Not authorized"] += 1
    assert not tally.is_complete
    assert "refused 1 (Not authorized: 1)" in str(tally)


def test_no_broker_is_one_line_and_status_1(
    track: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"mqtt://127.0.0.1:{unused.getsockname()[1]}"
        assert main(["replay", str(track), "--topic", "t", "--broker", url]) == 1
    error = capsys.readouterr().err
    assert error.startswith("geoweir: broker 127.0.0.1:")
    assert error.count("\n") == 1


def test_a_missing_file_is_one_line_and_status_1(
    broker: Mosquitto, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", "no.csv", "--topic", "t", "--broker", broker.url]) == 1
    assert capsys.readouterr().err == "geoweir: no.csv: No such file or directory.\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--topic", "t/#"],
        ["--topic", "t/{name}"],
        ["--topic", "t/{stream}"],
        ["--topic", "t", "--broker", "localhost"],
        ["--topic", "t", "--broker", "http://localhost"],
        ["--topic", "t", "--broker", "mqtt://localhost:99999"],
    ],
)
def test_wrong_usage_is_one_line_and_status_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", "a.csv", *arguments]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [[], ["--topic", "t", "--rate", "0"], ["--topic", "t", "--rate", "1", "--speed", "2"]],
)
def test_argparse_refuses_with_status_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["replay", "a.csv", *arguments])
    assert caught.value.code == 2


def test_user_and_password_come_from_the_address_or_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n", encoding="utf-8")
    in_url = replay._broker("mqtts://me:p%40ss@host", None, None)
    assert (in_url.username, in_url.password, in_url.port) == ("me", "p@ss", 8883)
    assert in_url.tls is not None
    in_file = replay._broker("ws://host:9001/way", "you", str(secret))
    assert (in_file.username, in_file.password) == ("you", "s3cret")
    assert (in_file.transport, in_file.path, in_file.port) == ("websockets", "/way", 9001)


def test_the_help_has_an_example() -> None:
    commands = argparse.ArgumentParser().add_subparsers()
    replay.add_parser(commands)
    assert "geoweir replay" in commands.choices["replay"].format_help()


async def test_a_silent_broker_is_given_up(broker: Mosquitto, track: Path) -> None:
    plan = Plan(paths=[track], topic="t", rate=1e6, loops=True)
    options = BrokerOptions(host="127.0.0.1", port=broker.port)
    progress = Progress("replay", io.StringIO())
    async with outside(broker) as client:
        replaying = asyncio.ensure_future(Publisher(plan, options, progress, silence_s=0.5).run())
        await seen(client, 10)
        broker.signal(signal.SIGSTOP)
        with pytest.raises(BrokerError, match=r"no answer for 0\.5 s"):
            await replaying
        broker.signal(signal.SIGCONT)
