"""What results look like, and what each step and pre-filter does, as a consumer sees it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyproj import Transformer

from support.brokers import Broker
from support.eventually import eventually
from support.mischief import write_mischief
from support.outside import Listener, Sender, headers_of, point
from support.running import Running, run_service
from support.service import Geoweir

BOWTIE = {"type": "Polygon", "coordinates": [[[0, 0], [2, 2], [2, 0], [0, 2], [0, 0]]]}
SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]]}
UPPER = {"type": "Polygon", "coordinates": [[[0, 5], [10, 5], [10, 15], [0, 15], [0, 5]]]}
ZONES = {
    "type": "FeatureCollection",
    "features": [
        {"type": "Feature", "id": "sq", "geometry": SQUARE, "properties": {"name": "Square"}},
        {"type": "Feature", "id": "up", "geometry": UPPER, "properties": {"name": "Upper"}},
    ],
}
TIMED = {"time": "properties.time"}
STREAMS: dict[str, dict[str, Any]] = {
    "plain": {"fields": TIMED},
    "metric": {"steps": [{"reproject": {"to": "EPSG:3857"}}]},
    "local": {"crs": "EPSG:3857"},
    "strict": {"steps": [{"validate": {}}]},
    "repaired": {"steps": [{"validate": {"repair": "structure"}}]},
    "first": {"steps": [{"join": {"layer": "zones", "attach": ["name"]}}]},
    "all": {"steps": [{"join": {"layer": "zones", "attach": ["name", "id"], "match": "all"}}]},
    "crossing": {
        "steps": [{"join": {"layer": "zones", "predicate": "intersects", "match": "all"}}]
    },
    "chosen": {
        "steps": [
            {"where": {"field": "speed", "above": 5}},
            {"where": {"inside": "zones"}},
            {"keep": ["speed", "name"]},
        ]
    },
    "shorter": {"steps": [{"drop": ["hidden"]}]},
    "user": {"steps": [{"python": "mischief:obey"}]},
    "fresh": {"retained": "ignore"},
    "stale": {"retained": "accept"},
    "boxed": {
        "fields": TIMED,
        "prefilter": {"bbox": [170, -20, -170, 20], "z": [0, 100], "max_age": "1h"},
    },
    "slowly": {"fields": TIMED, "prefilter": {"min_interval": "10s"}},
    "fields": {
        "format": "json",
        "fields": {
            "id": "{topic[2]}",
            "time": "at.sent",
            "x": "pos.lon",
            "y": "pos.lat",
            "z": "pos.alt",
        },
    },
    "tracks": {"format": "owntracks", "subscribe": "owntracks/#"},
    "batch": {"publish": {"batch": "chunk", "topic": "geoweir/batch/all"}},
    "kept": {"publish": {"retain": True}},
}


def configuration() -> dict[str, Any]:
    return {
        "layers": {"zones": {"path": "zones.geojson"}},
        "streams": {
            name: {"subscribe": f"in/{name}/#"} | stream for name, stream in STREAMS.items()
        },
        "pool": {"workers": 1},
    }


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("results")
    (folder / "zones.geojson").write_text(json.dumps(ZONES))
    with run_service(folder, configuration()) as made:
        yield made


def give(running: Running, stream: str, ident: str, **feature: Any) -> dict[str, Any]:
    return running.give(f"in/{stream}/x", point(ident, **feature), f"geoweir/{stream}/{ident}")


def give_geometry(running: Running, stream: str, ident: str, geometry: object) -> dict[str, Any]:
    document = {"type": "Feature", "id": ident, "geometry": geometry, "properties": {}}
    topic = f"geoweir/{stream}/{ident}"
    return running.give(f"in/{stream}/x", json.dumps(document).encode(), topic)


def test_a_result_is_the_input_with_a_member_that_says_what_became_of_it(
    running: Running,
) -> None:
    properties = {
        "big": 2**70,
        "bigger": -(10**40),
        "unicode": "żółw 🐢",
        "nested": {"a": [1, None, True, {"b": 0.1}]},
        "time": int(time.time()),
    }
    running.sender.send([("in/plain/x", point("whole", 1.25, -2.5, also=properties))])
    message = running.result("geoweir/plain/whole")
    body = message.body
    assert body["type"] == "Feature"
    assert body["id"] == "whole"
    assert body["geometry"] == {"type": "Point", "coordinates": [1.25, -2.5]}
    assert body["properties"] == properties
    assert "crs" not in body
    made = body["geoweir"]
    assert made["stream"] == "plain"
    assert made["status"] == "valid"
    assert made["received"].endswith("Z")
    assert set(made) == {"stream", "status", "received", "key"}
    assert message.retain is False


def test_a_number_as_id_stays_a_number(running: Running) -> None:
    result = running.give("in/plain/x", point(366899260), "geoweir/plain/366899260")
    assert result["id"] == 366899260


def test_user_properties_go_on_and_name_the_key(running: Running) -> None:
    if not running.broker.is_v5:
        pytest.skip("user properties need MQTT 5; this broker speaks 3.1.1")
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    running.sender.send(
        [("in/plain/x", point("traced"))],
        headers=[("traceparent", trace), ("site", "nörd"), ("geoweir-key", "forged")],
    )
    message = running.result("geoweir/plain/traced")
    assert headers_of(message) == {
        "geoweir-key": message.body["geoweir"]["key"],
        "traceparent": trace,
        "site": "nörd",
    }
    assert message.content_type == "application/geo+json"


@pytest.mark.parametrize(
    ("name", "headers", "passed_on"),
    [
        ("many", [(f"k{n}", "v") for n in range(300)], 32),
        ("huge", [("a", "1"), ("b", "x" * 60_000), ("c", "3")], 1),
        ("huge-name", [("x" * 60_000, "")], 0),
        ("empty", [("", "")], 1),
        ("forged", [("geoweir-key", "forged"), ("geoweir-key", "again"), ("a", "1")], 1),
        ("repeated", [("a", "1"), ("a", "2")], 2),
        ("markup", [("[/]\u202e", "<img src=x onerror=alert(1)>")], 1),
    ],
)
def test_hostile_user_properties_are_bounded_and_cut_no_connection(
    running: Running, name: str, headers: list[tuple[str, str]], passed_on: int
) -> None:
    if not running.broker.is_v5:
        pytest.skip("user properties need MQTT 5; this broker speaks 3.1.1")
    running.sender.send([("in/plain/x", point(f"headers-{name}"))], headers=headers)
    message = running.result(f"geoweir/plain/headers-{name}")
    keys = [value for key, value in message.headers if key == "geoweir-key"]
    assert keys == [message.body["geoweir"]["key"]]
    others = [pair for pair in message.headers if pair[0] != "geoweir-key"]
    assert others == [pair for pair in headers if pair[0] != "geoweir-key"][:passed_on]
    assert running.service.metric("geoweir_mqtt_reconnects_total") == 0


def test_a_collection_is_one_input_of_many_results(running: Running) -> None:
    before = running.service.stream("plain")
    features = [json.loads(point(f"member-{n}", n, n)) for n in range(5)]
    collection = {"type": "FeatureCollection", "features": features}
    running.sender.send([("in/plain/x", json.dumps(collection).encode())])
    bodies = [running.result(f"geoweir/plain/member-{n}").body for n in range(5)]
    assert [body["geometry"]["coordinates"] for body in bodies] == [[n, n] for n in range(5)]
    assert len({body["geoweir"]["key"] for body in bodies}) == 5
    eventually(lambda: running.service.stream("plain")["published"] == before["published"] + 1)
    assert running.service.stream("plain")["received"] == before["received"] + 1


def test_a_collection_without_features_is_filtered(running: Running) -> None:
    running.sender.send([("in/plain/x", b'{"type":"FeatureCollection","features":[]}')])
    eventually(lambda: running.reasons("plain", "filtered") == {"no-features": 1})


def test_reprojected_coordinates_say_in_which_crs_they_are(running: Running) -> None:
    result = give(running, "metric", "m", x=145.77, y=-16.92)
    expected = Transformer.from_crs("EPSG:4326", "EPSG:3857", always_xy=True).transform(
        145.77, -16.92
    )
    assert result["geometry"]["coordinates"] == pytest.approx(expected, abs=0.01)
    assert result["crs"]["properties"]["name"] == "urn:ogc:def:crs:EPSG::3857"


def test_a_position_outside_the_area_of_a_crs_is_its_features_error(running: Running) -> None:
    result = give(running, "metric", "pole", x=0.0, y=90.0)
    assert result["geoweir"]["status"] == "error"
    assert result["geoweir"]["message"]
    assert result["geometry"] is None


def test_a_stream_in_another_crs_gives_results_in_it(running: Running) -> None:
    result = give(running, "local", "l", x=1e6, y=2e6)
    assert result["crs"]["properties"]["name"] == "urn:ogc:def:crs:EPSG::3857"
    assert result["geometry"]["coordinates"] == [1e6, 2e6]


def test_an_invalid_geometry_is_an_error_or_repaired_as_configured(running: Running) -> None:
    strict = give_geometry(running, "strict", "bow", BOWTIE)
    assert strict["geoweir"]["status"] == "error"
    assert "Self-intersection" in strict["geoweir"]["message"]
    repaired = give_geometry(running, "repaired", "bow", BOWTIE)
    assert repaired["geoweir"]["status"] == "valid"
    assert "Self-intersection" in repaired["geoweir"]["repaired"]
    assert repaired["geometry"]["type"] == "MultiPolygon"
    sound = give_geometry(running, "repaired", "sound", SQUARE)
    assert "repaired" not in sound["geoweir"]


def test_a_join_attaches_the_first_or_all_matches_and_null_where_none_is(
    running: Running,
) -> None:
    assert give(running, "first", "a", x=5, y=7)["properties"] == {"zones_name": "Square"}
    assert give(running, "first", "b", x=50, y=7)["properties"] == {"zones_name": None}
    both = {"zones_name": ["Square", "Upper"], "zones_id": ["sq", "up"]}
    assert give(running, "all", "a", x=5, y=7)["properties"] == both
    assert give(running, "all", "b", x=50, y=7)["properties"] == {
        "zones_name": [],
        "zones_id": [],
    }
    line = {"type": "LineString", "coordinates": [[5, -5], [5, 20]]}
    found = give_geometry(running, "crossing", "line", line)
    assert found["properties"] == {"zones_id": ["sq", "up"]}
    assert give(running, "crossing", "edge", x=0, y=3)["properties"] == {"zones_id": ["sq"]}


def test_where_filters_and_keep_leaves_only_what_it_names(running: Running) -> None:
    running.sender.send(
        [
            ("in/chosen/x", point("slow", 5, 5, speed=5)),
            ("in/chosen/x", point("outside", 50, 5, speed=9)),
            ("in/chosen/x", point("speechless", 5, 5)),
        ]
    )
    result = give(running, "chosen", "good", x=5, y=5, speed=5.1, name="n", other=1)
    assert result["properties"] == {"speed": 5.1, "name": "n"}
    eventually(lambda: running.reasons("chosen", "filtered") == {"where": 3})
    assert len(running.listener.on("geoweir/chosen/")) == 1


def test_drop_leaves_out_what_it_names(running: Running) -> None:
    result = give(running, "shorter", "s", hidden="x", open=1)
    assert result["properties"] == {"open": 1}


def test_a_users_step_changes_drops_and_fails_features_of_their_own(running: Running) -> None:
    running.sender.send(
        [
            ("in/user/x", point("d", do="drop")),
            ("in/user/x", point("f", do="fail", value="too [/] odd")),
            ("in/user/x", point("r", do="raise", value="boom")),
            ("in/user/x", point("n", do="double", n=21)),
            ("in/user/x", point("m", do="move", value=[3, 4])),
            ("in/user/x", point("p")),
        ]
    )
    failed = running.result("geoweir/user/f").body["geoweir"]
    assert (failed["status"], failed["message"]) == ("error", "too [/] odd")
    raised = running.result("geoweir/user/r").body["geoweir"]
    assert raised["status"] == "error"
    assert "ValueError: boom" in raised["message"]
    assert running.result("geoweir/user/n").body["properties"]["doubled"] == 42
    assert running.result("geoweir/user/m").body["geometry"]["coordinates"] == [3, 4]
    assert running.result("geoweir/user/p").body["geoweir"]["status"] == "valid"
    eventually(lambda: running.reasons("user", "filtered") == {"step": 1})
    assert not running.listener.on("geoweir/user/d")
    assert running.service.metric("geoweir_worker_restarts_total") == 0


def test_the_prefilter_drops_by_name_what_is_elsewhere_too_high_or_too_old(
    running: Running,
) -> None:
    now = int(time.time())

    def boxed(ident: str, *coordinates: float, at: int = now) -> tuple[str, bytes]:
        feature = {
            "type": "Feature",
            "id": ident,
            "geometry": {"type": "Point", "coordinates": coordinates},
            "properties": {"time": at},
        }
        return "in/boxed/x", json.dumps(feature).encode()

    running.sender.send(
        [
            boxed("greenwich", 0, 0),
            boxed("north", 175, 21),
            boxed("high", 175, 0, 101),
            boxed("old", 175, 0, at=now - 3700),
            boxed("east", 175, 0, 50),
            boxed("west", -175, 0),
            boxed("on-the-line", 180, 0),
        ]
    )
    for ident in ("east", "west", "on-the-line"):
        running.result(f"geoweir/boxed/{ident}")
    eventually(
        lambda: running.reasons("boxed", "filtered") == {"bbox": 2, "z": 1, "age": 1},
        why=lambda: running.service.stream("boxed"),
    )


def test_a_polygon_that_reaches_into_the_box_is_never_dropped(running: Running) -> None:
    straddling = [[[160, -1], [171, -1], [171, 1], [160, 1], [160, -1]]]
    around = [[[100, -80], [179, -80], [179, 80], [100, 80], [100, -80]]]
    over_the_line = [[[178, -1], [182, -1], [182, 1], [178, 1], [178, -1]]]
    for name, rings in {"into": straddling, "around": around, "over": over_the_line}.items():
        give_geometry(running, "boxed", name, {"type": "Polygon", "coordinates": rings})
    far = [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]
    before = running.service.stream("boxed")
    document = {
        "type": "Feature",
        "id": "far",
        "geometry": {"type": "Polygon", "coordinates": far},
        "properties": {},
    }
    running.sender.send([("in/boxed/x", json.dumps(document).encode())])
    eventually(
        lambda: (
            running.service.stream("boxed")["received"] == before["received"] + 1
            and not running.service.stream("boxed")["in_flight"]
        )
    )


def test_an_interval_is_kept_for_each_id(running: Running) -> None:
    now = int(time.time()) - 60
    running.sender.send(
        [
            ("in/slowly/x", point("a", n=0, time=now)),
            ("in/slowly/x", point("a", n=1, time=now + 9)),
            ("in/slowly/x", point("b", n=2, time=now + 9)),
            ("in/slowly/x", point("a", n=3, time=now + 10)),
        ]
    )
    running.listener.wait(3, "geoweir/slowly/")
    eventually(lambda: running.reasons("slowly", "filtered") == {"interval": 1})
    numbers = [m.body["properties"]["n"] for m in running.listener.on("geoweir/slowly/")]
    assert numbers == [0, 2, 3]


def test_json_is_read_by_field_paths_and_topic_levels(running: Running) -> None:
    document = {"pos": {"lon": 145.5, "lat": -16.5, "alt": 3}, "at": {"sent": "2025-01-01T00:00Z"}}
    result = running.give("in/fields/bus-9", json.dumps(document).encode(), "geoweir/fields/bus-9")
    assert result["id"] == "bus-9"
    assert result["geometry"] == {"type": "Point", "coordinates": [145.5, -16.5, 3]}
    assert result["properties"] == document
    running.sender.send([("in/fields/bus-9", b'{"pos":{"lon":1}}')])
    told = running.result("geoweir/rejected/fields").body
    assert (told["reason"], told["id"]) == ("shape", "bus-9") or told["reason"] == "geometry"


def test_owntracks_is_known_by_its_topic(running: Running) -> None:
    location = {"_type": "location", "lat": -16.5, "lon": 145.5, "tst": 1_790_000_000, "acc": 5}
    location["tst"] = int(time.time())
    running.sender.send([("owntracks/anna/phone", json.dumps(location).encode())])
    body = running.result("geoweir/tracks/anna%2Fphone").body
    assert body["id"] == "anna/phone"
    assert body["geometry"]["coordinates"] == [145.5, -16.5]
    assert f":{location['tst']}:" in body["geoweir"]["key"]
    running.sender.send([("owntracks/anna/phone/waypoint", b'{"_type":"waypoint"}')])
    assert running.result("geoweir/rejected/tracks").body["reason"] == "shape"


def test_a_batch_is_a_collection_of_every_result(running: Running) -> None:
    running.sender.send([("in/batch/x", point(f"b{n}", n, n)) for n in range(50)])
    eventually(lambda: running.service.stream("batch")["published"] == 50)
    bodies = [message.body for message in running.listener.wait(1, "geoweir/batch/all")]
    eventually(
        lambda: sum(len(m.body["features"]) for m in running.listener.on("geoweir/batch/all")) == 50
    )
    assert all(body["type"] == "FeatureCollection" for body in bodies)
    ids = [
        feature["id"]
        for message in running.listener.on("geoweir/batch/all")
        for feature in message.body["features"]
    ]
    assert ids == [f"b{n}" for n in range(50)]


def test_a_retained_result_waits_for_consumers_who_come_later(running: Running) -> None:
    give(running, "kept", "k")
    with Listener(running.broker, "geoweir/kept/#", client_id="late") as late:
        (message,) = late.wait(1)
    assert message.retain is True


def test_retained_inputs_count_or_are_ignored_as_configured(broker: Broker, tmp_path: Path) -> None:
    streams = {name: {"subscribe": f"in/{name}/#", **STREAMS[name]} for name in ("fresh", "stale")}
    config = {
        "mqtt": {"url": broker.url, "protocol": broker.protocol},
        "streams": streams,
        "pool": {"workers": 1},
    }
    with Listener(broker) as listener, Sender(broker) as sender:
        sender.send([(f"in/{name}/x", point(f"old-{name}")) for name in streams], retain=True)
        with Geoweir(config, tmp_path) as service:
            sender.send([(f"in/{name}/x", point(f"new-{name}")) for name in streams])
            account = service.wait_settled(4)
            assert account["streams"]["fresh"]["reasons"] == {"filtered": {"retained": 1}}
            assert account["streams"]["stale"]["published"] == 2
            listener.wait(1, "geoweir/fresh/new-fresh")
            assert not listener.on("geoweir/fresh/old-fresh")


def test_keys_are_the_same_when_the_same_input_comes_to_another_run(
    broker: Broker, tmp_path: Path
) -> None:
    write_mischief(tmp_path)
    config = {
        "mqtt": {"url": broker.url, "protocol": broker.protocol},
        "streams": {"plain": {"subscribe": "in/#", "fields": TIMED}},
        "pool": {"workers": 1},
    }
    inputs = [("in/x", point(f"i{n % 7}", n=n, time=1_700_000_000 + n)) for n in range(50)]
    with Listener(broker) as listener, Sender(broker) as sender:
        keys = []
        for run in range(2):
            with Geoweir(config, tmp_path) as service:
                sender.send(inputs)
                listener.wait(50 * (run + 1), "geoweir/plain/")
                assert service.stop() == 0
            messages = listener.on("geoweir/plain/")[-50:]
            keys.append([message.body["geoweir"]["key"] for message in messages])
    assert keys[0] == keys[1]
    assert len(set(keys[0])) == 50
