"""Layers of a running service are replaced under load, by good files and by bad ones."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from support.accounting import read
from support.brokers import Broker
from support.eventually import eventually
from support.outside import Heard, Listener, Sender, point
from support.service import Geoweir, workers
from support.zones import write_square

JOIN = {"join": {"layer": "zones", "attach": ["tag"]}}
LAYER = "geoweir/layers/zones"


def configuration(broker: Broker, **more: Any) -> dict[str, Any]:
    return {
        "mqtt": {"url": broker.url, "protocol": broker.protocol},
        "layers": {"zones": {"path": "zones.gwl", "check": "100ms"}},
        "streams": {
            "s": {"subscribe": "in/s/#", "steps": [JOIN]},
            "b": {
                "subscribe": "in/b/#",
                "steps": [JOIN],
                "publish": {"topic": "geoweir/b/all", "batch": "chunk"},
            },
            "plain": {"subscribe": "in/plain/#"},
        },
    } | more


def in_use(listener: Listener) -> str | None:
    """The version that the service says it uses."""
    found = listener.on(LAYER)
    return found[-1].body["version"] if found else None


def swap(listener: Listener, folder: Path, tag: str) -> str:
    """Replaces the layer and waits until the service uses it; the version."""
    version = write_square(folder / "zones.gwl", tag)
    eventually(lambda: in_use(listener) == version, 30, lambda: (tag, version, in_use(listener)))
    return version


def inputs(numbers: range) -> Iterator[tuple[str, bytes]]:
    """For each number one input of every stream."""
    for n in numbers:
        for stream in ("s", "b", "plain"):
            yield f"in/{stream}/{n}", point(f"{stream}{n}", 0.5, 0.5)


def check_versions(tags: dict[str, str], results: list[dict[str, Any]]) -> set[str]:
    """Every result names a version and has that version's value; the versions."""
    seen = set()
    for result in results:
        version = result["geoweir"]["layers"]["zones"]
        assert result["properties"]["zones_tag"] == tags[version], result
        seen.add(version)
    return seen


def collections(heard: list[Heard]) -> list[list[dict[str, Any]]]:
    return [message.body["features"] for message in heard if message.topic == "geoweir/b/all"]


@pytest.mark.parametrize(
    ("swaps", "each"),
    [(10, 100), pytest.param(100, 334, marks=[pytest.mark.slow, pytest.mark.timeout(600)])],
)
def test_a_layer_replaced_under_load_costs_nothing_and_every_result_tells_its_version(
    broker: Broker, tmp_path: Path, swaps: int, each: int
) -> None:
    tags = {write_square(tmp_path / "zones.gwl", "t0"): "t0"}
    total = swaps * each
    with (
        Listener(broker) as listener,
        Sender(broker) as sender,
        Geoweir(configuration(broker), tmp_path) as service,
    ):
        for number in range(swaps):
            sender.post(inputs(range(number * each, (number + 1) * each)))
            tag = f"t{number + 1}"
            tags[swap(listener, tmp_path, tag)] = tag
        account = service.wait_settled(3 * total, 300)
        assert account["unaccounted"] == 0
        assert {s["published"] for s in account["streams"].values()} == {total}
        eventually(lambda: len(read(listener.heard, "s").published) >= total, 60)
        eventually(lambda: sum(map(len, collections(listener.heard))) >= total, 60)
        read(listener.heard, "s").each_once([f"s{n}" for n in range(total)])

        results = [m.body for m in listener.heard if m.topic.startswith("geoweir/s/")]
        seen = check_versions(tags, results)
        for chunk in collections(listener.heard):
            seen |= check_versions(tags, chunk)
            assert len({f["geoweir"]["layers"]["zones"] for f in chunk}) == 1
        assert len(seen) > swaps // 2
        plain = [m.body["geoweir"] for m in listener.heard if m.topic.startswith("geoweir/plain/")]
        assert not any("layers" in member for member in plain)
        assert service.metric("geoweir_layer_load_errors_total", layer="zones") == 0
        version = in_use(listener)
        assert version is not None
        assert service.metric("geoweir_layer_info", layer="zones", version=version) == 1
        assert service.metric("geoweir_worker_restarts_total") == 0
        assert service.stop() == 0


def damaged(kind: str, good: bytes) -> bytes:
    match kind:
        case "half":
            return good[: len(good) // 2]
        case "empty":
            return b""
        case "foreign":
            return b"not a layer" * 1000
        case "header":
            return good[:100] + bytes([good[100] ^ 1]) + good[101:]
        case _:  # a byte of the last section, which only its own digest shows
            return good[:-3] + bytes([good[-3] ^ 1]) + good[-2:]


def test_a_file_that_is_no_good_is_refused_once_and_the_old_one_stays(
    broker: Broker, tmp_path: Path
) -> None:
    version = write_square(tmp_path / "zones.gwl", "old")
    good = (tmp_path / "zones.gwl").read_bytes()
    kinds = ["half", "empty", "foreign", "header", "section"]
    with (
        Listener(broker) as listener,
        Sender(broker) as sender,
        Geoweir(configuration(broker), tmp_path) as service,
    ):

        def errors() -> float:
            return service.metric("geoweir_layer_load_errors_total", layer="zones")

        def refused_after(count: int) -> None:
            eventually(lambda: errors() == count, 10, service.log)
            time.sleep(0.35)  # it is looked at again, and not tried again
            assert errors() == count

        for count, kind in enumerate(kinds, start=1):
            (tmp_path / "next").write_bytes(damaged(kind, good))
            (tmp_path / "next").replace(tmp_path / "zones.gwl")
            refused_after(count)
        write_square(tmp_path / "zones.gwl", "x", crs="EPSG:3857")
        refused_after(6)
        write_square(tmp_path / "zones.gwl", "x", field="other")
        refused_after(7)
        (tmp_path / "zones.gwl").unlink()
        refused_after(8)
        assert "its CRS is EPSG:3857" in service.log()
        assert "no feature has tag, which a step attaches" in service.log()

        sender.send([("in/s/1", point("a", 0.5, 0.5))])
        [result] = listener.wait(1, "geoweir/s/a")
        assert result.body["geoweir"]["layers"] == {"zones": version}
        assert result.body["properties"]["zones_tag"] == "old"
        swap(listener, tmp_path, "new")
        sender.send([("in/s/2", point("b", 0.5, 0.5))])
        [result] = listener.wait(1, "geoweir/s/b")
        assert result.body["properties"]["zones_tag"] == "new"
        assert service.metric("geoweir_worker_restarts_total") == 0
        assert service.stop() == 0


def test_workers_killed_while_layers_change_cost_no_result_its_truth(
    broker: Broker, tmp_path: Path
) -> None:
    tags = {write_square(tmp_path / "zones.gwl", "t0"): "t0"}
    config = configuration(broker, pool={"workers": 2})
    total = 0
    with (
        Listener(broker) as listener,
        Sender(broker) as sender,
        Geoweir(config, tmp_path) as service,
    ):
        for number in range(8):
            sender.post(inputs(range(total, total + 50)))
            total += 50
            tag = f"t{number + 1}"
            version = write_square(tmp_path / "zones.gwl", tag)
            tags[version] = tag
            time.sleep(0.02 * number)
            for pid in workers(service):
                os.kill(pid, signal.SIGKILL)
            eventually(partial(taken_up, service, listener, version, tmp_path), 30, service.log)
        account = service.wait_settled(3 * total, 120)
        assert account["unaccounted"] == 0
        ids = [f"s{n}" for n in range(total)]
        eventually(lambda: all(map(read(listener.heard, "s").outcomes, ids)), 30)
        read(listener.heard, "s").each_once(ids)
        results = [m.body for m in listener.heard if m.topic.startswith("geoweir/s/")]
        check_versions(tags, results)
        assert service.stop() == 0


def taken_up(service: Geoweir, listener: Listener, version: str, folder: Path) -> bool:
    """Whether the layer is in use; put in place again where both workers died taking it up."""
    if in_use(listener) == version:
        return True
    if f"version {version}: workers ended" in service.log():
        os.utime(folder / "zones.gwl")
    return False
