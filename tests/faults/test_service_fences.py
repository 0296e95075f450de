"""Live layers: fences come, change and go as retained messages, hostile ones among them."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from support.accounting import read
from support.brokers import Broker, needs_mosquitto, open_mosquitto
from support.eventually import eventually
from support.outside import Listener, Sender, point
from support.service import Geoweir

JOIN = {"join": {"layer": "zones", "attach": ["tag", "id"]}}
LAYER = "geoweir/layers/zones"


def configuration(broker: Broker, **limits: Any) -> dict[str, Any]:
    return {
        "mqtt": {"url": broker.url, "protocol": broker.protocol},
        "layers": {"zones": {"topic": "fences/+", "limits": limits}},
        "streams": {"s": {"subscribe": "in/#", "steps": [JOIN]}},
    }


def fence(west: float, tag: str = "", **members: Any) -> bytes:
    """A square of one degree from (west, 0)."""
    ring = [[west, 0], [west + 1, 0], [west + 1, 1], [west, 1], [west, 0]]
    geometry = {"type": "Polygon", "coordinates": [ring]}
    feature = {"type": "Feature", "geometry": geometry, "properties": {"tag": tag} if tag else {}}
    return json.dumps(feature | members).encode()


class Asking:
    """Asks the service where a point lies, by way of an input."""

    def __init__(self, sender: Sender, listener: Listener) -> None:
        self._sender, self._listener = sender, listener
        self._numbers = itertools.count()

    def at(self, x: float) -> tuple[Any, Any]:
        """The id and the tag of the fence at (x, 0.5)."""
        ident = f"ask{next(self._numbers)}"
        self._sender.send([(f"in/{ident}", point(ident, x, 0.5))])
        [result] = self._listener.wait(1, f"geoweir/s/{ident}")
        assert "zones" in result.body["geoweir"]["layers"]
        properties = result.body["properties"]
        return properties["zones_id"], properties["zones_tag"]

    def until(self, x: float, expected: tuple[Any, Any]) -> None:
        eventually(lambda: self.at(x) == expected, 20, lambda: (x, expected, self.at(x)))


def test_fences_are_there_for_the_first_input_and_change_and_go_while_it_runs(
    broker: Broker, tmp_path: Path
) -> None:
    with Listener(broker) as listener, Sender(broker) as sender:
        asking = Asking(sender, listener)
        sender.send([("fences/a", fence(0, "one")), ("fences/b", fence(10, id="B"))], retain=True)
        with Geoweir(configuration(broker), tmp_path) as service:
            assert asking.at(0.5) == ("a", "one")
            assert asking.at(10.5) == ("B", None)
            assert asking.at(20.5) == (None, None)
            sender.send([("fences/a", fence(0, "two")), ("fences/c", fence(20))], retain=True)
            asking.until(0.5, ("a", "two"))
            asking.until(20.5, ("c", None))
            sender.send([("fences/a", fence(30, "moved"))], retain=True)
            asking.until(30.5, ("a", "moved"))
            assert asking.at(0.5) == (None, None)
            sender.send([("fences/b", b"")], retain=True)
            asking.until(10.5, (None, None))
            said = listener.on(LAYER)[-1].body
            assert {key: said[key] for key in ("layer", "features", "source")} == {
                "layer": "zones", "features": 2, "source": "fences/+",
            }  # fmt: skip
            info = service.metric("geoweir_layer_info", layer="zones", version=said["version"])
            assert info == 1
            assert service.account()["unaccounted"] == 0
            assert service.stop() == 0


def nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


HOSTILE = {
    "no JSON": b"hello",
    "NaN": fence(0).replace(b"[0, 0]", b"[NaN, 0]"),
    "infinite": fence(0).replace(b"[0, 0]", b"[1e999, 0]"),
    "huge": fence(0).replace(b"[0, 0]", b"[1e300, 0]"),
    "another CRS": fence(0, crs={"type": "name", "properties": {"name": "EPSG:25832"}}),
    "metres": fence(500_000),
    "deep arrays": fence(0).replace(b"[[[", b"[" * 100_000),
    "deep properties": fence(0).replace(b'"properties": {}', b'"properties": ' + nested(50)),
    "bottomless properties": fence(0).replace(
        b'"properties": {}', b'"properties": ' + nested(20_000)
    ),
    "open ring": fence(0).replace(b", [0, 0]]", b"]"),
    "no area": fence(0).replace(b"[1, 1], [0, 1]", b"[1, 0], [0, 0]"),
    "one place": json.dumps(
        {
            "type": "Feature",
            "geometry": {"type": "LineString", "coordinates": [[3, 3], [3, 3]]},
            "properties": {},
        }
    ).encode(),
    "no geometry": b'{"type": "Feature", "geometry": null, "properties": {}}',
    "a collection": b'{"type": "FeatureCollection", "features": []}',
    "many vertices": json.dumps(
        {
            "type": "Feature",
            "geometry": {"type": "LineString", "coordinates": [[0, 0]] * 20_000},
            "properties": {},
        }
    ).encode(),
    "a million vertices": json.dumps(
        {
            "type": "Feature",
            "geometry": {"type": "LineString", "coordinates": [[0, 0]] * 1_000_000},
            "properties": {},
        }
    ).encode(),
}


def test_t07_hostile_fences_are_refused_one_by_one_and_what_their_topics_had_stays(
    broker: Broker, tmp_path: Path
) -> None:
    with (
        Listener(broker) as listener,
        Sender(broker) as sender,
        Geoweir(configuration(broker), tmp_path) as service,
    ):
        asking = Asking(sender, listener)
        names = [f"fences/h{n}" for n in range(len(HOSTILE))]
        sender.send([(name, fence(n * 2, name)) for n, name in enumerate(names)], retain=True)
        asking.until(0.5, ("h0", "fences/h0"))
        sender.send(zip(names, HOSTILE.values(), strict=True), retain=True)
        sender.send([("fences/good", fence(100, "good"))], retain=True)
        asking.until(100.5, ("good", "good"))

        def refused() -> float:
            return service.metric("geoweir_fences_refused_total", layer="zones")

        eventually(lambda: refused() == len(HOSTILE), 20, lambda: (refused(), service.log()))
        for n, name in enumerate(names):
            assert asking.at(n * 2 + 0.5) == (f"h{n}", name), list(HOSTILE)[n]
        # A topic that had nothing before: what came along with it is there.
        sender.send([("fences/new", HOSTILE["no area"]), ("fences/x", fence(99))], retain=True)
        asking.until(99.5, ("x", None))
        eventually(lambda: refused() == len(HOSTILE) + 1, 20, lambda: (refused(), service.log()))
        assert service.metric("geoweir_layer_load_errors_total", layer="zones") == 0
        assert service.metric("geoweir_worker_restarts_total") == 0
        assert service.stop() == 0
        # All of it is retained: a new life finds it at its start.
        service.start()
        asking.until(100.5, ("good", "good"))
        eventually(lambda: refused() == len(HOSTILE) + 1, 20, lambda: (refused(), service.log()))
        assert service.stop() == 0


def test_a_full_layer_takes_changes_and_no_more_features(broker: Broker, tmp_path: Path) -> None:
    with (
        Listener(broker) as listener,
        Sender(broker) as sender,
        Geoweir(configuration(broker, features=2), tmp_path) as service,
    ):
        asking = Asking(sender, listener)
        sender.send([(f"fences/{n}", fence(n * 2, "x")) for n in range(3)], retain=True)
        asking.until(0.5, ("0", "x"))
        asking.until(2.5, ("1", "x"))
        assert asking.at(4.5) == (None, None)
        sender.send([("fences/1", fence(2, "y")), ("fences/0", b"")], retain=True)
        asking.until(2.5, ("1", "y"))
        asking.until(0.5, (None, None))
        sender.send([("fences/2", fence(4, "z"))], retain=True)
        asking.until(4.5, ("2", "z"))
        assert service.metric("geoweir_fences_refused_total", layer="zones") == 1
        assert service.stop() == 0


def test_fences_that_change_under_load_lose_no_input_and_agree_with_the_results(
    broker: Broker, tmp_path: Path
) -> None:
    rounds, each = 6, 150
    with (
        Listener(broker) as listener,
        Sender(broker) as sender,
        Geoweir(configuration(broker), tmp_path) as service,
    ):
        asking = Asking(sender, listener)
        for number in range(rounds):
            sender.send([("fences/a", fence(0, f"t{number}"))], retain=True)
            messages = (
                (f"in/{n}", point(f"i{n}", 0.5, 0.5))
                for n in range(number * each, (number + 1) * each)
            )
            sender.post(messages)
            asking.until(0.5, ("a", f"t{number}"))
        service.wait_settled(rounds * each, 60)
        ids = [f"i{n}" for n in range(rounds * each)]
        eventually(lambda: all(map(read(listener.heard, "s").outcomes, ids)), 30)
        inputs = [m for m in listener.heard if not m.topic.startswith("geoweir/s/ask")]
        read(inputs, "s").each_once(ids)
        tags: dict[str, set[str]] = {}
        for message in listener.on("geoweir/s/"):
            body = message.body
            version = body["geoweir"]["layers"]["zones"]
            tags.setdefault(version, set()).add(body["properties"]["zones_tag"])
        assert all(len(found) == 1 for found in tags.values()), tags
        assert service.account()["unaccounted"] == 0
        assert service.stop() == 0


@pytest.mark.mosquitto
def test_what_is_no_longer_retained_after_a_reconnect_goes(tmp_path: Path) -> None:
    needs_mosquitto()
    with (
        open_mosquitto(tmp_path / "broker") as broker,
        Geoweir(configuration(broker), tmp_path) as service,
    ):
        with Listener(broker) as listener, Sender(broker) as sender:
            sender.send([(f"fences/{n}", fence(n * 2)) for n in range(2)], retain=True)
            Asking(sender, listener).until(2.5, ("1", None))
        broker.mosquitto.end()
        for file in (tmp_path / "broker").glob("mosquitto.db*"):
            file.unlink()
        broker.mosquitto.start()
        # Without its store the broker knows no session: what is sent before the service is back
        # is nobody's.
        eventually(lambda: service.metric("geoweir_mqtt_reconnects_total", direction="in") == 2)
        with Listener(broker) as listener, Sender(broker) as sender:
            asking = Asking(sender, listener)
            sender.send([("fences/0", fence(0, "again"))], retain=True)
            asking.until(0.5, ("0", "again"))
            asking.until(2.5, (None, None))
        assert service.stop() == 0
