from __future__ import annotations

import copy
import math
from functools import reduce
from operator import getitem
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoweir.codec.decode import make_decoder
from geoweir.codec.encode import make_encoder
from geoweir.codec.light import LightReader
from geoweir.codec.percent import encode_key_part, encode_level
from geoweir.codec.topics import TopicTemplate
from geoweir.core.outcome import REASONS, Outcome
from geoweir.core.prefilter import Prefilter
from geoweir.core.spec import Fields, PrefilterSpec, StreamSpec
from geoweir.core.work import ChunkWork
from support.chunks import GOOD, NOW, chunk_of, decode, feature, stream

SPECS = {
    "geojson": stream(fields=Fields(time="properties.t")),
    "json": stream(format="json", fields=Fields(id="id", x="x", y="y", z="p.0", time="t")),
    "owntracks": stream(format="owntracks", fields=Fields(id="{topic[1]}")),
}

lon = st.floats(-540, 540)
lat = st.floats(-90, 90)
position = st.tuples(lon, lat) | st.tuples(lon, lat, st.floats(-1e9, 1e9))
names = st.sampled_from(
    [
        "type", "id", "geometry", "properties", "features", "geometries", "coordinates", "crs",
        "name", "t", "x", "y", "p", "lat", "lon", "tst", "_type", "location", "Feature",
        "FeatureCollection", "Point", "Polygon", "GeometryCollection",
    ]
)  # fmt: skip
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | names
)
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=5),
    max_leaves=25,
)
any_text = st.text(st.characters(exclude_categories=()), max_size=80)


def rings(draw: st.DrawFn) -> list[list[float]]:
    corners = draw(st.lists(st.tuples(lon, lat), min_size=3, max_size=9))
    return [list(corner) for corner in [*corners, corners[0]]]


polygons = st.composite(rings)().map(lambda ring: {"type": "Polygon", "coordinates": [ring]})
points = position.map(lambda p: {"type": "Point", "coordinates": list(p)})
lines = st.lists(position, min_size=2, max_size=9).map(
    lambda line: {"type": "LineString", "coordinates": [list(p) for p in line]}
)


SOUND: dict[str, Any] = {
    "geojson": {
        "type": "Feature",
        "id": "a",
        "geometry": {"type": "Point", "coordinates": [1, 2, 3]},
        "properties": {"t": NOW},
    },
    "json": {"id": "a", "x": 1, "y": "2", "p": [3], "t": NOW},
    "owntracks": {"_type": "location", "lat": 2, "lon": 1, "alt": 3, "tst": NOW},
}


def places(document: Any) -> list[list[Any]]:
    """The way to every value within a document."""
    members: Any = ()
    if isinstance(document, (dict, list)):
        members = document.items() if isinstance(document, dict) else enumerate(document)
    return [[]] + [[name, *rest] for name, value in members for rest in places(value)]


@st.composite
def nearly_sound(draw: st.DrawFn, name: str) -> bytes:
    """A sound input of a format of which some values are others, or gone."""
    document = copy.deepcopy(SOUND[name])
    for _ in range(draw(st.integers(0, 3))):
        *way, last = draw(st.sampled_from(places(document)[1:] or [["x"]]))
        owner = reduce(getitem, way, document)
        if draw(st.booleans()):
            del owner[last]
        else:
            owner[last] = draw(documents | st.sampled_from(["1e400", "18446744073709551616"]))
    return dumps(document)


def encode_all(work: ChunkWork, spec: StreamSpec) -> list[Any]:
    decoded = make_decoder(spec).decode(work)
    encoded = make_encoder(spec).encode(decoded.features, work)
    inputs = {message.input for message in encoded.messages}
    assert inputs == set(decoded.features.inputs.tolist())
    assert not inputs & set(decoded.rejected)
    for rejection in decoded.rejected.values():
        assert rejection.reason in REASONS[Outcome.REJECTED]
    return [orjson.loads(message.payload) for message in encoded.messages]


def dumps(document: object) -> bytes:
    """JSON with integers of any length, which orjson does not write."""
    if isinstance(document, dict):
        return b"{" + b",".join(dumps(k) + b":" + dumps(v) for k, v in document.items()) + b"}"
    if isinstance(document, (list, tuple)):
        return b"[" + b",".join(dumps(item) for item in document) + b"]"
    if isinstance(document, int) and not isinstance(document, bool):
        return str(document).encode()
    return orjson.dumps(document)


@pytest.mark.parametrize("name", SPECS)
@given(data=st.data())
def test_whatever_comes_every_input_has_features_or_a_rejection_or_is_empty(
    name: str, data: st.DataObject
) -> None:
    any_input = st.binary(max_size=200) | documents.map(dumps) | nearly_sound(name)
    payloads = data.draw(st.lists(any_input, max_size=6))
    encode_all(chunk_of(*payloads), SPECS[name])


@given(payload=st.binary(max_size=200) | documents.map(dumps))
def test_no_input_touches_its_neighbours(payload: bytes) -> None:
    features = decode(GOOD, payload, GOOD).features

    assert features.inputs.tolist()[0] == 0
    assert features.inputs.tolist()[-1] == 2
    assert [features.ids[0], features.ids[-1]] == ["good", "good"]


@given(geometries=st.lists(points | polygons | lines, min_size=1, max_size=8))
def test_geometries_round_trip_to_the_same_numbers(geometries: list[dict[str, Any]]) -> None:
    results = encode_all(chunk_of(*[feature(g) for g in geometries]), stream())

    assert [result["geometry"] for result in results] == geometries


@given(ident=st.integers() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_t12_ids_round_trip(ident: int | str) -> None:
    payload = GOOD.replace(b'"good"', dumps(ident))

    features = decode(payload).features

    assert features.ids == [str(ident)]
    assert features.id_literals == [dumps(ident)]


@given(one=any_text, two=any_text)
def test_t15_topics_are_injective_and_valid(one: str, two: str) -> None:
    template = TopicTemplate.parse("{id}")
    topics = [template.render("s", ident, "in") for ident in (one, two)]

    assert (topics[0] == topics[1]) == (one == two)
    assert (encode_key_part(one) == encode_key_part(two)) == (one == two)
    for topic in topics:
        assert 0 < len(topic.encode()) <= 128
        assert not set(topic) & set("+#/\0\ufffe\uffff")
        assert not topic.startswith("$")
        assert all(character.isprintable() or ord(character) > 0x9F for character in topic)


@given(value=any_text, end=st.text(min_size=1, max_size=3))
def test_t15_values_that_differ_past_the_cut_stay_two(value: str, end: str) -> None:
    longer = value + "x" * 200

    assert encode_level(longer) != encode_level(longer + end)


@pytest.mark.parametrize("name", SPECS)
@given(data=st.data())
def test_the_light_read_never_raises_and_never_contradicts_the_worker(
    name: str, data: st.DataObject
) -> None:
    spec = SPECS[name]
    payload = data.draw(st.binary(max_size=200) | documents.map(dumps) | nearly_sound(name))
    light = LightReader(spec).read(payload, "in/dev0/pos")
    decoded = decode(payload, spec=spec)

    assert isinstance(LightReader(spec).ids(payload, "in"), list)
    if light is not None and not decoded.rejected:
        point = decoded.features.geometry[0]
        assert (light.id, light.time) == (decoded.features.ids[0], decoded.features.times[0])
        assert (light.x, light.y) == (point.x, point.y)
        assert light.z is None or light.z == point.z


@settings(max_examples=300)
@given(
    west=st.floats(-180, 180),
    east=st.floats(-180, 180),
    x=st.floats(-180, 180),
    turns=st.sampled_from([-360, 0, 360]),
)
def test_a_point_that_its_box_holds_is_never_dropped(
    west: float, east: float, x: float, turns: int
) -> None:
    holds = west <= x <= east if west <= east else x >= west or x <= east
    gate = Prefilter(PrefilterSpec(bbox=(west, -90, east, 90)), 1)

    said = gate.decide(("a", x, 0, None, None), now=NOW)

    assert (said is None) or not holds
    # Beyond rounding at the antimeridian, what it doesn't hold is dropped.
    near = min(abs(math.remainder(x - edge, 360)) for edge in (west, east)) < 1e-9
    assert holds or near or said == "bbox"
    moved = gate.decide(("a", x + turns, 0, None, None), now=NOW)
    assert near or (moved is None) == (said is None)
