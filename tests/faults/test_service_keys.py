"""Exactly once by key: a consumer that drops equal keys sees each result once, whatever dies."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from support.accounting import Seen, read
from support.brokers import Broker
from support.eventually import eventually
from support.outside import Listener, Sender, headers_of, point
from support.service import Geoweir

COUNT = 20_000
KILLS = 10


def configuration(broker: Broker, **stream: Any) -> dict[str, Any]:
    return {
        "mqtt": {"url": broker.url, "protocol": broker.protocol},
        "streams": {"s": {"subscribe": "in/#", **stream}},
        "pool": {"workers": 1, "chunk": 16},
        "state": {"path": "state.db"},
    }


def numbered(numbers: Iterable[int]) -> Iterable[tuple[str, bytes]]:
    return ((f"in/{n}", point(n, seq=n)) for n in numbers)


def kill_on_the_way(service: Geoweir, sender: Sender, listener: Listener, dice: random.Random,
                    count: int, kills: int) -> Seen:  # fmt: skip
    """Sends ids in as many parts as there are kills; what a consumer saw of all."""
    for turn in range(kills):
        sender.post(numbered(range(turn, count, kills)))
        eventually(lambda: service.settled() > 0)
        time.sleep(dice.uniform(0.0, 0.4))  # the moment is what the seed varies
        service.kill()
        service.start()
    listener.wait(count, "geoweir/s/", 180)
    eventually(lambda: service.stream("s")["in_flight"] == 0, 180)
    eventually(lambda: len({m.topic for m in listener.on("geoweir/s/")}) >= count, 60)
    eventually(lambda: service.stream("s")["in_flight"] == 0)
    assert service.account()["unaccounted"] == 0
    seen = read(listener.heard, "s")
    seen.each_once([str(n) for n in range(count)])
    return seen


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("dedupe", [None, "10m"])
def test_a_consumer_that_drops_equal_keys_sees_each_result_once(
    broker: Broker, tmp_path: Path, dedupe: str | None
) -> None:
    config = configuration(broker, dedupe=dedupe)
    with (
        Listener(broker) as listener,
        Sender(broker) as sender,
        Geoweir(config, tmp_path) as service,
    ):
        kill_on_the_way(service, sender, listener, random.Random(7), COUNT, KILLS)
        if broker.is_v5:
            results = listener.on("geoweir/s/")
            keys = {headers_of(message)["geoweir-key"] for message in results}
            assert len(keys) == COUNT
            assert keys == {message.body["geoweir"]["key"] for message in results}


def test_what_is_remembered_of_repeats_outlives_a_kill(broker: Broker, tmp_path: Path) -> None:
    count = 300
    with (
        Listener(broker) as listener,
        Sender(broker) as sender,
        Geoweir(configuration(broker, dedupe="10m"), tmp_path) as service,
    ):
        sender.send(numbered(range(count)))
        service.wait_settled(count)
        eventually(lambda: not _unconfirmed(service))
        service.kill()
        service.start()
        sender.send(numbered(range(count)))  # another who sends the same
        service.wait_settled(count)
        assert service.stream("s")["reasons"]["filtered"]["repeat"] == count
        assert not read(listener.heard, "s").repeats


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_sequence_numbers_outlive_the_service(broker: Broker, tmp_path: Path, end: str) -> None:
    count = 3000
    config = configuration(broker, fields={"id": "{topic[0]}", "sequence": "properties.seq"})
    with Sender(broker) as sender, Geoweir(config, tmp_path) as service:
        sender.post(numbered(range(count)))
        eventually(lambda: service.settled() > 100)
        service.kill() if end == "kill" else service.stop()
        service.start()
        eventually(lambda: not service.stream("s")["in_flight"])
        sender.send(numbered([count, count + 11]))  # ten are lost meanwhile
        sender.send(numbered(range(count + 12, count + 100)))
        eventually(lambda: service.metric("geoweir_sequence_gaps_total") >= 1)
        eventually(lambda: not service.stream("s")["in_flight"])
        stream = service.stream("s")
        assert (stream["gaps"], stream["missing"]) == (1, 10)


def _unconfirmed(service: Geoweir) -> bool:
    """Whether acknowledgements may still wait for the disk."""
    time.sleep(0.2)
    return bool(service.stream("s")["in_flight"])
