"""Made-up inputs are inputs: each stream's own decoder and pre-filter take every one of them."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub

from geoweir.codec.decode import make_decoder
from geoweir.codec.light import LightReader
from geoweir.core.prefilter import Prefilter
from geoweir.core.spec import Fields, LayerSpec, Limits, PrefilterSpec, StepSpec, StreamSpec
from geoweir.core.work import ChunkWork
from geoweir.sizing.places import Box, Place, place_of, positions
from geoweir.sizing.sources import Recorded, generated, recorded
from geoweir.sizing.template import Moment, Template
from geoweir.sizing.topics import UngeneratedError, copies
from support.chunks import stream


def no_layers(layer: LayerSpec) -> Box | None:
    raise AssertionError(layer)


def make(spec: StreamSpec) -> list[Template]:
    return list(generated(spec, {}, no_layers).templates)


def accept(
    spec: StreamSpec, templates: list[Template], now: float
) -> tuple[list[bytes], list[str]]:
    """The stream's decoder takes every payload."""
    payloads = [template.payload(Moment.of(now)) for template in templates]
    topics = [template.topic for template in templates]
    decoded = make_decoder(spec).decode(ChunkWork(0, payloads, topics, [now] * len(payloads)))
    assert decoded.rejected == {}
    assert len(decoded.features.ids) == len(payloads)
    return payloads, topics


def check(spec: StreamSpec, few: int = 300) -> list[Template]:
    """Every input passes the pre-filter and the decoder, on a topic that the stream gets."""
    templates = make(spec)[:few]
    now = time.time()
    payloads, topics = accept(spec, templates, now)
    gate = Prefilter(spec.prefilter, 100_000, geographic=spec.crs == "EPSG:4326")
    reader = LightReader(spec)
    for payload, topic in zip(payloads, topics, strict=True):
        light = reader.read(payload, topic)
        assert light is not None
        assert gate.decide(light, now=now) is None, (payload, topic)
        plain = [f.split("/", 2)[2] if f.startswith("$share") else f for f in spec.subscribe]
        assert any(topic_matches_sub(one, topic) for one in plain), topic
    return templates


names = st.sampled_from(["a", "b", "pos", "meta", "properties", "0", "x"])
paths = st.lists(names, min_size=1, max_size=3).map(".".join)
maybe_path = st.none() | paths | st.sampled_from(["{topic[1]}", "{topic[2]}"])
levels = st.lists(st.sampled_from(["+", "fleet", "owntracks", "a"]), min_size=1, max_size=4)
filters = st.builds(
    lambda parts, end, group: group + "/".join([*parts, *end]),
    levels,
    st.sampled_from([[], ["#"]]),
    st.sampled_from(["", "$share/g/"]),
)
boxes = st.none() | st.sampled_from(
    [(5.0, 50.0, 6.0, 51.0), (170.0, -10.0, -170.0, 10.0), (0.0, 0.0, 0.0, 0.0)]
)
specs = st.builds(
    lambda kind, subscribe, fields, box, z, age: stream(
        format=kind,
        subscribe=tuple(subscribe),
        fields=fields,
        prefilter=PrefilterSpec(bbox=box, z=z, max_age_s=age, min_interval_s=None),
    ),
    st.sampled_from(["geojson", "json", "owntracks"]),
    st.lists(filters, min_size=1, max_size=3, unique=True),
    st.builds(Fields, id=maybe_path, time=maybe_path, x=maybe_path, y=maybe_path, z=maybe_path),
    boxes,
    st.none() | st.just((0.0, 10.0)),
    st.none() | st.just(60.0),
)


@given(specs)
@settings(max_examples=30, deadline=None)
def test_what_is_made_is_accepted_and_what_cannot_be_made_is_said(spec: StreamSpec) -> None:
    why, templates = "", []
    try:
        templates = make(spec)
    except UngeneratedError as error:
        why = str(error)
    assert bool(templates) is not bool(why)
    if templates:
        accept(spec, templates[-300:], time.time())


@pytest.mark.parametrize(
    "spec",
    [
        stream(subscribe=("ais/+/position",), fields=Fields(time="properties.t")),
        stream(
            subscribe=("a/+",),
            fields=Fields(id="properties.mmsi", time="properties.when.utc"),
            prefilter=PrefilterSpec(bbox=(170, -10, -170, 10), z=(3, 4), max_age_s=5),
        ),
        stream(
            subscribe=("$share/g/x/+/+", "y/#"),
            format="json",
            fields=Fields(id="{topic[1]}", x="pos.0", y="pos.1", z="pos.2", time="at"),
        ),
        stream(
            subscribe=("grid/+/+/+",),
            format="json",
            fields=Fields(id="{topic[1]}", x="{topic[2]}", y="{topic[3]}"),
        ),
        stream(subscribe=("owntracks/+/+",), format="owntracks"),
        stream(subscribe=("owntracks/#",), format="owntracks"),
        stream(subscribe=("#",), format="owntracks"),
        stream(subscribe=("t/+",), crs="EPSG:25832"),
        stream(subscribe=("t/+",), prefilter=PrefilterSpec(min_interval_s=1)),
    ],
    ids=lambda spec: f"{spec.format} {spec.subscribe[0]}",
)
def test_usual_streams_get_inputs(spec: StreamSpec) -> None:
    templates = check(spec)
    bodies = {(t.topic, t.payload(Moment.of(1_750_000_000))) for t in templates}
    assert len(bodies) == len(templates)


def test_there_are_a_few_hundred_devices_and_more_where_an_interval_needs_them() -> None:
    def devices(**more: object) -> int:
        spec = stream(subscribe=("t/+",), **more)
        return len({json.loads(t.payload(Moment.of(0)))["id"] for t in make(spec)})

    assert devices() == 500
    assert devices(prefilter=PrefilterSpec(min_interval_s=1)) == 20_000
    few = Limits(ids=700)
    assert devices(prefilter=PrefilterSpec(min_interval_s=9), limits=few) == 700


def test_the_fix_time_is_that_of_the_sending() -> None:
    (iso, *_) = make(stream(subscribe=("t/+",), fields=Fields(time="properties.at")))
    at = json.loads(iso.payload(Moment.of(1_750_000_000.25)))["properties"]["at"]
    assert at == "2025-06-15T15:06:40.250Z"
    (unix, *_) = make(stream(subscribe=("owntracks/+/+",), format="owntracks"))
    assert json.loads(unix.payload(Moment.of(1_750_000_000.25)))["tst"] == 1_750_000_000


@pytest.mark.parametrize(
    ("options", "passes"),
    [
        ({"equals": "bus"}, lambda v: v == "bus"),
        ({"in": [3, 4]}, lambda v: v in {3, 4}),
        ({"above": 5, "below": 9}, lambda v: 5 < v < 9),
        ({"at_least": 5}, lambda v: v >= 5),
        ({"below": -2}, lambda v: v < -2),
        ({"above": "m"}, lambda v: v > "m"),
        ({"exists": True}, lambda v: v is not None),
    ],
)
def test_a_where_step_lets_made_up_inputs_through(options: dict[str, Any], passes: Any) -> None:
    where = StepSpec(name="where", options={"field": "speed", **options})
    spec = stream(subscribe=("t/+",), steps=(where,))
    value = json.loads(make(spec)[0].payload(Moment.of(0)))["properties"]["speed"]
    assert passes(value)


@pytest.mark.parametrize(
    ("spec", "why", "sample_helps"),
    [
        (stream(subscribe=("$SYS/#",)), "but the broker", False),
        (
            stream(format="json", fields=Fields(id="a", x="a.x", y="a.y")),
            "the path a stands where another one leads through",
            True,
        ),
        (stream(limits=Limits(payload=20)), "limits.payload allows 20", True),
        (stream(subscribe=("phones/+/+",), format="owntracks"), "set fields.id", True),
        (stream(format="json", fields=Fields(x="{topic[0]}", y="y")), "not a number", True),
    ],
)
def test_a_stream_without_inputs_says_why(spec: StreamSpec, why: str, sample_helps: bool) -> None:
    with pytest.raises(UngeneratedError, match=why) as raised:
        make(spec)
    assert raised.value.sample_helps is sample_helps


def test_a_format_that_is_not_known_is_said() -> None:
    with pytest.raises(UngeneratedError, match="format csv can't be made up"):
        make(stream(format="csv"))


# Where the points lie.


def layer(name: str, crs: str = "EPSG:4326") -> LayerSpec:
    return LayerSpec(name=name, path=f"/{name}.geojson", crs=crs)


def some(place: Place, crs: str, count: int = 500) -> list[tuple[float, float]]:
    from random import Random

    drawn = positions(place, crs, Random(1))
    return [next(drawn) for _ in range(count)]


def test_without_a_box_points_lie_in_the_layers_that_the_steps_use() -> None:
    join = StepSpec(name="join", options={"layer": "used"})
    layers = {"used": layer("used"), "unused": layer("unused")}
    boxes = {"used": (5.0, 50.0, 6.0, 51.0)}
    place = place_of(stream(steps=(join,)), layers, lambda layer: boxes[layer.name])
    assert all(5 <= x <= 6 and 50 <= y <= 51 for x, y in some(place, "EPSG:4326"))


def test_a_box_across_the_antimeridian_gives_longitudes_on_both_sides() -> None:
    place = Place(((170.0, -1.0, -170.0, 1.0),), "EPSG:4326", "")
    drawn = [x for x, _ in some(place, "EPSG:4326")]
    assert all(170 <= abs(x) <= 180 for x in drawn)
    assert any(x > 0 for x in drawn)
    assert any(x < 0 for x in drawn)


def test_points_of_a_layer_are_given_in_the_stream_s_crs() -> None:
    place = Place(((8.0, 50.0, 9.0, 51.0),), "EPSG:4326", "")
    assert all(4e5 < x < 6e5 and 5.5e6 < y < 5.7e6 for x, y in some(place, "EPSG:25832"))


def test_a_stream_that_is_reprojected_gets_points_where_that_is_possible() -> None:
    spec = stream(steps=(StepSpec(name="reproject", options={"to": "EPSG:25832"}),))
    place = place_of(spec, {}, no_layers)
    assert all(6 <= x <= 12 and 38 <= y <= 84.4 for x, y in some(place, "EPSG:4326"))


# Topics and recordings.


def test_a_message_that_several_streams_get_counts_for_each() -> None:
    both = [stream(subscribe=("t/#",)), stream(name="b", subscribe=("$share/g/t/+/x", "t/+/x"))]
    assert copies("t/1/x", both) == 2
    assert copies("t/1/y", both) == 1


def test_recorded_inputs_go_as_they_are_on_topics_of_their_devices() -> None:
    spec = stream(subscribe=("t/+/pos",))
    source = recorded(spec, [Recorded("a/1", b"{1"), Recorded(None, b"2")], "file")
    assert [(t.topic, t.payload(Moment.of(0))) for t in source.templates] == [
        ("t/a%2F1/pos", b"{1"),
        ("t/bench-00001/pos", b"2"),
    ]
    with pytest.raises(UngeneratedError, match="file holds no input"):
        recorded(spec, [], "file")
