"""The main job on real input, as an outside subscriber and an outside computation see it."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from support.accounting import Seen, read
from support.brokers import Broker
from support.outside import Listener, Sender
from support.positions import World, world
from support.service import Geoweir

FEW = 5_000
MANY = 50_000
STREAMS = ("first", "second", "third")


def sequence(result: Mapping[str, Any]) -> str:
    return str(result["properties"]["n"])


def configuration(
    broker: Broker, layer: Path, *, workers: int, chunk: int, priorities: Sequence[str]
) -> dict[str, Any]:
    return {
        "mqtt": {"url": broker.url, "protocol": broker.protocol},
        "layers": {"areas": {"path": str(layer)}},
        "streams": {
            name: {
                "subscribe": f"positions/{name}/+",
                "priority": priority,
                "steps": [{"join": {"layer": "areas", "attach": ["name"]}}],
            }
            for name, priority in zip(STREAMS, priorities, strict=False)
        },
        "pool": {"workers": workers, "chunk": chunk},
    }


def job(
    broker: Broker, folder: Path, count: int, *, workers: int, chunk: int, priorities: Sequence[str]
) -> None:
    """Publishes positions of many ships over the streams, and compares everything that comes."""
    real = world(count)
    numbers = {
        name: range(at, count, len(priorities))
        for at, name in enumerate(STREAMS[: len(priorities)])
    }
    config = configuration(broker, real.layer, workers=workers, chunk=chunk, priorities=priorities)
    with (
        Listener(broker) as listener,
        Sender(broker) as sender,
        Geoweir(config, folder) as service,
    ):
        names = itertools.cycle(numbers)
        sender.send(
            (
                (f"positions/{name}/{real.places[n].ident}", real.payload(n))
                for n, name in zip(range(count), names, strict=False)
            ),
            seconds=120,
        )
        account = service.wait_settled(count, 180)
        listener.wait(count, "geoweir/", 60)
        assert account["unaccounted"] == 0
        assert service.stop() == 0
    expected = real.expected(count)
    for name, mine in numbers.items():
        seen = read(listener.heard, name, name=sequence)
        seen.each_once(map(str, mine))
        assert account["streams"][name]["published"] == len(mine)
        assert account["streams"][name]["redelivered"] == 0
        check_order(real, seen)
        check_results(listener, name, expected)
    if count >= FEW:
        assert sum(found is not None for found in expected) > count // 10


def check_results(listener: Listener, name: str, expected: Sequence[str | None]) -> None:
    wrong = [
        (result["properties"], expected[result["properties"]["n"]])
        for result in (json.loads(m.payload) for m in listener.on(f"geoweir/{name}/"))
        if result["properties"]["areas_name"] != expected[result["properties"]["n"]]
    ]
    assert not wrong, wrong[:5]


def check_order(real: World, seen: Seen) -> None:
    """The results of each id came in the order of its inputs."""
    by_ident = defaultdict(list)
    for n in map(int, seen.order):
        by_ident[real.places[n].ident].append(n)
    assert all(ns == sorted(ns) for ns in by_ident.values())


@pytest.mark.parametrize(
    ("workers", "chunk", "priorities"),
    [
        (1, 128, ["normal"]),
        (2, 50, ["low", "high", "normal"]),
        (4, 200, ["high", "low", "normal"]),
        (2, 1, ["normal", "low"]),
    ],
)
def test_each_real_position_gives_the_result_that_shapely_computes_once_and_in_order(
    broker: Broker, tmp_path: Path, workers: int, chunk: int, priorities: list[str]
) -> None:
    job(broker, tmp_path, FEW, workers=workers, chunk=chunk, priorities=priorities)


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("chunk", [1, 50, 128, 200])
@pytest.mark.parametrize(
    ("workers", "priorities"),
    [
        (1, ["low", "high", "normal"]),
        (2, ["high", "normal", "low"]),
        (4, ["normal", "low", "high"]),
    ],
)
def test_each_of_fifty_thousand_positions_has_exactly_one_right_result(
    broker: Broker, tmp_path: Path, workers: int, chunk: int, priorities: list[str]
) -> None:
    job(broker, tmp_path, MANY, workers=workers, chunk=chunk, priorities=priorities)
