"""Bad input: each gets one rejected message with its reason, and nothing else is lost by it."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from support.eventually import eventually
from support.outside import point
from support.running import Running, run_service

STREAM = "hostile"
GATED = "gated"
NOW = time.time()


def feature(
    ident: str = '"bad"',
    geometry: str = '{"type":"Point","coordinates":[1,2]}',
    properties: str = "{}",
    more: str = "",
) -> bytes:
    return (
        f'{{"type":"Feature","id":{ident},"geometry":{geometry},"properties":{properties}{more}}}'
    ).encode()


def at(coordinates: str, kind: str = "Point") -> bytes:
    return feature(geometry=f'{{"type":"{kind}","coordinates":{coordinates}}}')


def timed(value: object) -> bytes:
    return feature(properties=json.dumps({"time": value}))


def named_crs(name: str) -> bytes:
    return feature(more=',"crs":' + json.dumps({"type": "name", "properties": {"name": name}}))


def nested(depth: int) -> bytes:
    opening = '{"type":"GeometryCollection","geometries":['
    return feature(geometry=opening * depth + "]}" * depth)


BAD: dict[str, tuple[bytes, str]] = {
    "cut": (b'{"type":"Feature"', "json"),
    "text": (b"hello", "json"),
    "binary": (bytes(range(256)), "json"),
    "bad-utf8": (feature(ident='"').replace(b'"""', b'"\xff\xfe"'), "json"),
    "nan": (at("[NaN,1]"), "json"),
    "infinity": (at("[-Infinity,1]"), "json"),
    "1e400": (at("[1e400,1]"), "json"),
    "lone-surrogate": (feature(ident='"\\ud800"'), "json"),
    "lone-surrogate-in-properties": (feature(properties='{"a":"\\udfff"}'), "json"),
    "byte-order-mark": (b"\xef\xbb\xbf" + feature(), "json"),
    "lists-cut-off": (b"[" * 300, "json"),
    "nul-in-text": (feature(ident='"a\0b"'), "json"),
    "two-documents": (feature() * 2, "json"),
    "empty": (b"", "empty"),
    "list": (b"[1,2]", "shape"),
    "number": (b"5", "shape"),
    "null": (b"null", "shape"),
    "other-object": (b'{"type":"Topology","objects":{}}', "shape"),
    "no-geometry": (b'{"type":"Feature","id":"a","properties":{}}', "shape"),
    "properties-list": (feature(properties="[1]"), "shape"),
    "features-object": (b'{"type":"FeatureCollection","features":{}}', "shape"),
    "unknown-geometry": (at("[1,2]", "Circle"), "geometry"),
    "text-coordinates": (at('["1","2"]'), "geometry"),
    "one-coordinate": (at("[1]"), "geometry"),
    "no-coordinates": (feature(geometry='{"type":"Point"}'), "geometry"),
    "null-coordinates": (at("null"), "geometry"),
    "geometry-of-no-type": (feature(geometry='{"coordinates":[1,2]}'), "geometry"),
    "geometry-text": (feature(geometry='"POINT (1 2)"'), "geometry"),
    "geometry-list": (feature(geometry="[1,2]"), "geometry"),
    "true-coordinate": (at("[true,1]"), "geometry"),
    "open-ring": (at("[[[0,0],[1,0],[1,1],[0,1]]]", "Polygon"), "geometry"),
    "short-ring": (at("[[[0,0],[1,0],[0,0]]]", "Polygon"), "geometry"),
    "too-big": (feature(properties=json.dumps({"a": "x" * 1_000_000})), "payload"),
    "geometries-too-deep": (nested(5), "depth"),
    "geometries-far-too-deep": (nested(10_000), "depth"),
    "brackets-too-deep": (b"[" * 100_000, "depth"),
    "coordinates-too-deep": (at("[" * 900 + "1,2" + "]" * 900), "geometry"),
    "too-many-features": (
        b'{"type":"FeatureCollection","features":[' + b",".join([feature()] * 1001) + b"]}",
        "features",
    ),
    "too-many-vertices": (at("[" + ",".join(["[1,2]"] * 20_001) + "]", "LineString"), "vertices"),
    "1e308": (at("[1e308,1]"), "coordinate"),
    "minus-1e308": (at("[[0,0],[-1e308,1e308]]", "LineString"), "coordinate"),
    "longitude-541": (at("[541,1]"), "coordinate"),
    "latitude-91": (at("[1,91]"), "coordinate"),
    "unknown-crs": (named_crs("EPSG:3857"), "crs"),
    "crs-that-reads-a-file": (named_crs("+proj=longlat +nadgrids=/etc/passwd"), "crs"),
    "crs-with-nul": (named_crs("EPSG:4326\0"), "crs"),
    "no-id": (b'{"type":"Feature","geometry":null,"properties":{}}', "id"),
    "no-id-in-a-collection": (
        b'{"type":"FeatureCollection","features":[' + feature() + b',{"type":"Feature",'
        b'"geometry":null,"properties":{}}]}',
        "id",
    ),
    "null-id": (feature(ident="null"), "id"),
    "true-id": (feature(ident="true"), "id"),
    "object-id": (feature(ident='{"a":1}'), "id"),
    "empty-id": (feature(ident='""'), "id"),
    "too-long-id": (feature(ident='"' + "x" * 65_536 + '"'), "id"),
    "year-9999": (timed("9999-12-31T23:59:59Z"), "time"),
    "milliseconds": (timed(int(NOW * 1000)), "time"),
    "1e18": (timed(1e18), "time"),
    "before-2000": (timed(12), "time"),
    "no-date": (timed("yesterday"), "time"),
    "list-time": (timed([1]), "time"),
    "an-hour-ahead": (timed(NOW + 3600), "ahead"),
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    config = {
        "streams": {
            STREAM: {"subscribe": "in/#", "fields": {"time": "properties.time"}},
            GATED: {
                "subscribe": "gated/#",
                "fields": {"time": "properties.time"},
                "prefilter": {
                    "bbox": [-180, -90, 180, 90],
                    "z": [-1e6, 1e6],
                    "max_age": "24h",
                    "min_interval": "1ms",
                },
            },
        },
        "pool": {"workers": 1},
    }
    with run_service(tmp_path_factory.mktemp("bad-input"), config) as made:
        yield made


def rejected(running: Running, topic: str) -> list[dict[str, Any]]:
    bodies = [message.body for message in running.listener.on(f"geoweir/rejected/{STREAM}")]
    return [body for body in bodies if body["topic"] == topic]


def unharmed(running: Running) -> None:
    """Nobody but the sender noticed."""
    service = running.service
    assert service.metric("geoweir_worker_restarts_total") == 0
    assert service.metric("geoweir_mqtt_reconnects_total") == 0
    assert service.account()["unaccounted"] == 0


@pytest.mark.parametrize("case", BAD)
def test_a_bad_payload_is_rejected_with_its_reason_and_its_neighbours_are_published(
    running: Running, case: str
) -> None:
    payload, reason = BAD[case]
    running.sender.send(
        [
            (f"in/{case}", point(f"{case}-before")),
            (f"in/{case}/bad", payload),
            (f"in/{case}", point(f"{case}-after")),
        ]
    )
    running.result(f"geoweir/{STREAM}/{case}-before")
    running.result(f"geoweir/{STREAM}/{case}-after")
    (body,) = eventually(lambda: rejected(running, f"in/{case}/bad"))
    assert body["reason"] == reason, body
    assert body["stream"] == STREAM
    assert body["detail"]
    assert base64.b64decode(body["payload_base64"]) == payload[:4096]
    unharmed(running)


def test_all_bad_payloads_at_once_between_good_ones_cost_nothing_else(running: Running) -> None:
    before = running.service.account()["streams"][STREAM]
    cases = [(f"in/crowd/{case}", payload) for case, (payload, _) in BAD.items()]
    good = [(f"in/crowd/good-{n}", point(f"good-{n}")) for n in range(len(cases))]
    running.sender.send([message for pair in zip(good, cases, strict=True) for message in pair])
    eventually(
        lambda: (
            running.service.stream(STREAM)["rejected"] == before["rejected"] + len(BAD)
            and running.service.stream(STREAM)["published"] == before["published"] + len(BAD)
        ),
        why=running.service.account,
    )
    for case, (_, reason) in BAD.items():
        (body,) = eventually(lambda: rejected(running, f"in/crowd/{case}"))  # noqa: B023
        assert body["reason"] == reason
    unharmed(running)


def test_what_a_worker_refuses_passes_the_prefilter_and_is_rejected_with_the_same_reason(
    running: Running,
) -> None:
    running.sender.send([(f"gated/{case}", payload) for case, (payload, _) in BAD.items()])
    eventually(lambda: running.service.stream(GATED)["rejected"] == len(BAD))
    told = {m.body["topic"]: m.body for m in running.listener.on(f"geoweir/rejected/{GATED}")}
    reasons = {topic.removeprefix("gated/"): body["reason"] for topic, body in told.items()}
    assert reasons == {case: reason for case, (_, reason) in BAD.items()}
    unharmed(running)


def test_a_null_geometry_is_no_fault(running: Running) -> None:
    result = running.give("in/x", feature('"nowhere"', "null"), f"geoweir/{STREAM}/nowhere")
    assert result["geometry"] is None
    assert result["geoweir"]["status"] == "valid"


def test_a_leap_second_is_no_fault(running: Running) -> None:
    payload = feature('"leap"', properties='{"time":"2016-12-31T23:59:60Z"}')
    assert running.give("in/x", payload, f"geoweir/{STREAM}/leap")["id"] == "leap"


def test_ids_beyond_64_bits_stay_two(running: Running) -> None:
    ids = ("18446744073709551616", "18446744073709551617")
    running.sender.send([("in/x", feature(ident)) for ident in ids])
    for ident in ids:
        message = running.result(f"geoweir/{STREAM}/{ident}")
        assert f'"id":{ident}'.encode() in message.payload


def test_properties_that_no_writer_of_json_takes_are_an_error_of_their_feature(
    running: Running,
) -> None:
    depth = 600
    payload = feature('"bomb"', properties='{"a":%s}' % ("[" * depth + "]" * depth))
    result = running.give("in/bomb", payload, f"geoweir/{STREAM}/bomb")
    assert result["geoweir"]["status"] == "error"
    assert result["properties"] is None
    unharmed(running)


def test_the_reasons_of_the_metrics_are_those_of_the_messages(running: Running) -> None:
    for reason in {reason for _, reason in BAD.values()}:
        told = sum(
            m.body["reason"] == reason for m in running.listener.on(f"geoweir/rejected/{STREAM}")
        )
        counted = running.service.metric(
            "geoweir_outcomes_total", stream=STREAM, outcome="rejected", reason=reason
        )
        assert counted == told, reason
