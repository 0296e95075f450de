from __future__ import annotations

import orjson
import pytest

from geoweir.codec.light import Light, LightReader
from geoweir.core.spec import Fields, Limits
from support.chunks import GOOD, NOW, decode, feature, stream

POINT = {"type": "Point", "coordinates": [1.5, 2]}
SPEC = stream(fields=Fields(id="properties.no", time="properties.t"))


def test_a_point_is_read_with_its_id_height_and_time() -> None:
    reader = LightReader(SPEC)
    high = {"type": "Point", "coordinates": [1.5, 2, 3]}

    assert reader.read(feature(POINT, no=7, t=NOW), "in") == Light("7", 1.5, 2, None, NOW)
    assert reader.read(feature(high, no="x"), "in") == Light("x", 1.5, 2, 3, None)


def test_t12_ids_beyond_64_bits_stay_two_in_the_light_read() -> None:
    reader = LightReader(SPEC)
    payloads = [
        feature(POINT, no="?").replace(b'"?"', b"1844674407370955161%d" % i) for i in (6, 7)
    ]

    found = [reader.read(payload, "in") for payload in payloads]

    assert [light and light.id for light in found] == [
        "18446744073709551616",
        "18446744073709551617",
    ]


def test_json_and_owntracks_points_are_read_too() -> None:
    by_path = stream(format="json", fields=Fields(id="{topic[1]}", x="p.0", y="p.1", z="h"))
    own = stream(format="owntracks")
    location = {"_type": "location", "lat": 48.5, "lon": 16.5, "alt": 170, "tst": NOW}

    assert LightReader(by_path).read(b'{"p":["1.5",2]}', "in/d") == Light("d", 1.5, 2, None, None)
    assert LightReader(own).read(orjson.dumps(location), "owntracks/u/d") == Light(
        "u/d", 16.5, 48.5, 170, NOW
    )
    assert LightReader(own).read(orjson.dumps(location | {"_type": "lwt"}), "owntracks/u/d") is None


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"{", b"null", b"[]", b"\xff", b"[" * 200_000, b'{"type":"Feature"}',
        b'{"type":"FeatureCollection","features":[' + GOOD + b"]}",
        b'{"type":"Point","coordinates":[1,2]}',
        feature({"type": "LineString", "coordinates": [[0, 0], [1, 1]]}),
        feature({"type": "Point"}),
        feature({"type": "Point", "coordinates": None}),
        feature({"type": "Point", "coordinates": {}}),
        feature({"type": "Point", "coordinates": []}),
        feature({"type": "Point", "coordinates": [1]}),
        feature({"type": "Point", "coordinates": ["1", 2]}),
        feature({"type": "Point", "coordinates": [1, 91]}),
        feature({"type": "Point", "coordinates": [1e308, 1]}),
        feature({"type": "Point", "coordinates": [1, 1, 1e10]}),
        feature(None),
        feature(POINT, ident=None), feature(POINT, ident=1.5), feature(POINT, ident=""),
        feature(POINT, ident=True),
        GOOD.replace(b'"id"', b'"crs":{"type":"name"},"id"'),
        GOOD.replace(b"1,2", b"1e400,2"), GOOD.replace(b"1,2", b"NaN,2"),
        GOOD.replace(b'"properties":{}', b'"properties":{},"d":' + b"[" * 50_000 + b"]" * 50_000),
    ],
)  # fmt: skip
def test_t11_what_is_no_sound_point_is_left_to_the_worker(payload: bytes) -> None:
    assert LightReader(stream()).read(payload, "in") is None


@pytest.mark.parametrize("time", [True, "soon", NOW * 1000, []])
def test_t13_a_point_with_an_unreadable_time_is_left_to_the_worker(time: object) -> None:
    assert LightReader(SPEC).read(feature(POINT, no=1, t=time), "in") is None


def test_paths_that_contradict_each_other_leave_everything_to_the_worker() -> None:
    for fields in (
        Fields(id="geometry"),
        Fields(id="type"),
        Fields(id="properties.a", time="properties.a.b"),
        Fields(id="0.a"),
    ):
        reader = LightReader(stream(fields=fields))
        assert reader.read(feature(POINT, a="x"), "in") is None


@pytest.mark.parametrize(
    "coordinates", [None, True, 1, "ab", {}, [], [None, 1], [{}, []], [True, 1]]
)
def test_t11_a_path_into_the_position_does_not_make_the_position_trusted(
    coordinates: object,
) -> None:
    reader = LightReader(stream(fields=Fields(id="geometry.coordinates.0")))

    assert reader.read(feature({"type": "Point", "coordinates": coordinates}), "in") is None


def test_one_path_may_serve_two_fields() -> None:
    reader = LightReader(stream(fields=Fields(id="properties.t", time="properties.t")))

    assert reader.read(feature(POINT, t=int(NOW)), "in") == Light(str(int(NOW)), 1.5, 2, None, NOW)


def test_the_light_read_agrees_with_the_worker() -> None:
    payload = feature({"type": "Point", "coordinates": [-179.5, 1 / 3, 12]}, no="é", t="2024-06-15")
    light = LightReader(SPEC).read(payload, "in")
    features = decode(payload, spec=SPEC).features

    assert light is not None
    assert (light.id, light.time) == (features.ids[0], features.times[0])
    assert [(light.x, light.y, light.z)] == list(features.geometry[0].coords)


def test_ids_for_messages_are_bounded_by_the_limit_of_features() -> None:
    reader = LightReader(stream(limits=Limits(features=2)))
    payload = b'{"type":"FeatureCollection","features":[' + b",".join([GOOD] * 3) + b"]}"

    assert reader.ids(payload, "in") == ["good", "good"]
    assert reader.ids(b"\0", "in") == []


def test_t33_a_forged_id_is_left_to_the_worker() -> None:
    reader = LightReader(stream(id_must_match="{topic[1]}", fields=Fields(id="properties.no")))

    assert reader.read(feature(POINT, no="mine"), "in/mine") is not None
    assert reader.read(feature(POINT, no="mine"), "in/another") is None
