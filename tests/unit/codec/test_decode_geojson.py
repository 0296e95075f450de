from __future__ import annotations

import bz2
import gc
import gzip
import lzma
import math
import tracemalloc
import zlib
from collections.abc import Callable

import orjson
import pytest
import shapely

from geoweir.core.outcome import REASONS, Outcome
from geoweir.core.spec import Fields, Limits, StreamSpec
from support.chunks import GOOD, NOW, decode, feature, stream


def reason(payload: bytes, spec: StreamSpec | None = None) -> str:
    """Decodes the payload between two sound ones, which must not notice."""
    decoded = decode(GOOD, payload, GOOD, spec=spec)
    assert decoded.features.inputs.tolist() == [0, 2]
    assert [type(g) for g in decoded.features.geometry] == [shapely.Point, shapely.Point]
    rejection = decoded.rejected[1]
    assert rejection.reason in REASONS[Outcome.REJECTED]
    assert rejection.detail.endswith(".")
    return rejection.reason


GEOMETRIES = {
    "point": {"type": "Point", "coordinates": [1.5, 2.25]},
    "point z": {"type": "Point", "coordinates": [1.5, 2.25, 3.125]},
    "line": {"type": "LineString", "coordinates": [[0, 0], [1, 1]]},
    "line z": {"type": "LineString", "coordinates": [[0, 0, 5], [1, 1, 6]]},
    "polygon": {
        "type": "Polygon",
        "coordinates": [
            [[0, 0], [9, 0], [9, 9], [0, 9], [0, 0]],
            [[1, 1], [1, 2], [2, 2], [1, 1]],
            [[5, 5], [5, 6], [6, 6], [5, 5]],
        ],
    },
    "multipoint": {"type": "MultiPoint", "coordinates": [[1, 2], [3, 4]]},
    "multiline": {"type": "MultiLineString", "coordinates": [[[0, 0], [1, 1]], [[2, 2], [3, 3]]]},
    "multipolygon": {
        "type": "MultiPolygon",
        "coordinates": [
            [[[0, 0], [1, 0], [1, 1], [0, 0]]],
            [[[5, 5], [9, 5], [9, 9], [5, 5]], [[7, 6], [8, 6], [8, 7], [7, 6]]],
        ],
    },
    "collection": {
        "type": "GeometryCollection",
        "geometries": [
            {"type": "Point", "coordinates": [1, 2]},
            {
                "type": "GeometryCollection",
                "geometries": [{"type": "LineString", "coordinates": [[0, 0], [1, 1]]}],
            },
        ],
    },
    "empty point": {"type": "Point", "coordinates": []},
    "empty line": {"type": "LineString", "coordinates": []},
    "empty polygon": {"type": "Polygon", "coordinates": []},
    "empty multipolygon": {"type": "MultiPolygon", "coordinates": []},
    "empty collection": {"type": "GeometryCollection", "geometries": []},
}


@pytest.mark.parametrize("name", GEOMETRIES)
def test_each_geometry_equals_what_shapely_makes_of_it_in_a_mixed_chunk(name: str) -> None:
    others = [feature(geometry) for geometry in GEOMETRIES.values()]

    built = decode(feature(GEOMETRIES[name]), *others).features.geometry[0]

    expected = shapely.from_geojson(orjson.dumps(GEOMETRIES[name]))
    assert shapely.equals_identical(built, expected) or (built.is_empty and expected.is_empty)
    assert built.geom_type == expected.geom_type
    assert built.has_z == expected.has_z


def test_null_geometry_stays_none_and_extra_ordinates_are_dropped() -> None:
    many = {"type": "LineString", "coordinates": [[0, 0, 1, 99], [1, 1, 2, 99]]}

    geometry = decode(
        feature(None), feature({"type": "Point", "coordinates": [1, 2, 3, 4]}), feature(many)
    ).features.geometry

    assert geometry[0] is None
    assert (geometry[1].x, geometry[1].y, geometry[1].z) == (1, 2, 3)
    assert list(geometry[2].coords) == [(0, 0, 1), (1, 1, 2)]


def test_positions_with_and_without_z_in_one_line_keep_what_they_have() -> None:
    line = decode(feature({"type": "LineString", "coordinates": [[0, 0, 7], [1, 1]]}))

    (_, _, first), (x, y, second) = line.features.geometry[0].coords
    assert (first, x, y) == (7, 1, 1)
    assert math.isnan(second)


@pytest.mark.parametrize(
    "coordinates",
    [
        None, 5, "1,2", {}, [1], [None, 1], ["1", "2"], [True, False], [[1, 2]], [1, [2]],
    ],
)  # fmt: skip
def test_a_malformed_point_is_a_geometry_fault(coordinates: object) -> None:
    assert reason(feature({"type": "Point", "coordinates": coordinates})) == "geometry"


@pytest.mark.parametrize(
    "geometry",
    [
        {"type": "Circle", "coordinates": [1, 2]},
        {"type": ["Point"], "coordinates": [1, 2]},
        {"type": "LineString", "coordinates": [[1, 2]]},
        {"type": "LineString", "coordinates": [[1, 2], [3]]},
        {"type": "LineString", "coordinates": [[1, 2], 3]},
        {"type": "LineString", "coordinates": [[1, 2], [3, "4"]]},
        {"type": "LineString", "coordinates": [1, 2]},
        {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [0, 0]]]},
        {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1]]]},
        {"type": "Polygon", "coordinates": [[]]},
        {"type": "Polygon", "coordinates": [[0, 0], [1, 0], [1, 1], [0, 0]]},
        {"type": "MultiPolygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]},
        {"type": "GeometryCollection", "coordinates": []},
        {"type": "GeometryCollection", "geometries": [None]},
        "Point",
    ],
)
def test_a_malformed_geometry_is_a_geometry_fault(geometry: object) -> None:
    assert reason(feature(geometry)) == "geometry"


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"", "empty"),
        (b" ", "json"),
        (b"not json", "json"),
        (GOOD[:-1], "json"),
        (GOOD + b"x", "json"),
        (GOOD.replace(b"1,2", b"NaN,2"), "json"),
        (GOOD.replace(b"1,2", b"1e400,2"), "json"),
        (GOOD.replace(b"good", b"\\ud800"), "json"),
        (GOOD.replace(b"good", b"\xff\xfe"), "json"),
        (bytes(range(256)), "json"),
        (b"[" * 100_000 + b"]" * 100_000, "depth"),
        (b"[]", "shape"),
        (b'"text"', "shape"),
        (b"null", "shape"),
        (b"{}", "shape"),
        (b'{"type":"Topology"}', "shape"),
        (b'{"type":["Feature"],"coordinates":[]}', "shape"),
        (GOOD.replace(b'"properties":{}', b'"properties":[]'), "shape"),
        (b'{"type":"Feature","id":1,"properties":{}}', "shape"),
        (b'{"type":"FeatureCollection","features":{}}', "shape"),
        (b'{"type":"FeatureCollection","features":[1]}', "shape"),
        (b'{"type":"Point","coordinates":[1,2]}', "id"),
    ],
)
def test_a_broken_payload_is_rejected_by_name(payload: bytes, expected: str) -> None:
    assert reason(payload) == expected


def test_lists_that_are_cut_off_are_not_called_a_lack_of_memory() -> None:
    (rejection,) = decode(b"[" * 300).rejected.values()

    assert rejection.reason == "json"
    assert "memory" not in rejection.detail


def test_t09_a_payload_over_the_limit_is_rejected_before_it_is_parsed() -> None:
    assert reason(b"{" * 500, stream(limits=Limits(payload=400))) == "payload"


@pytest.mark.parametrize("payload", [b"[" + b"[]," * 50_000 + b"0]", b"[" * 100_000])
def test_t09_the_collector_rests_while_a_large_payload_is_parsed_and_works_again(
    payload: bytes,
) -> None:
    before = gc.get_stats()[0]["collections"]
    assert reason(payload) in {"shape", "json", "depth"}
    assert gc.isenabled()
    assert gc.get_stats()[0]["collections"] - before < 10


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress, bz2.compress, lzma.compress])
def test_t10_a_compressed_payload_is_never_unpacked(pack: Callable[[bytes], bytes]) -> None:
    bomb = pack(bytes(20_000_000))
    tracemalloc.start()
    try:
        rejected = decode(bomb).rejected[0]
        assert tracemalloc.get_traced_memory()[1] < 10 * len(bomb) + 100_000
    finally:
        tracemalloc.stop()
    assert rejected.reason == "json"


@pytest.mark.parametrize("levels", [5, 400, 20_000])
def test_t01_nested_collections_are_rejected_as_depth(levels: int) -> None:
    head = b'{"type":"GeometryCollection","geometries":['
    geometry = head * levels + b"]}" * levels
    payload = b'{"type":"Feature","id":1,"properties":{},"geometry":' + geometry + b"}"

    assert reason(payload) == "depth"


def test_t01_collections_as_deep_as_the_limit_are_built() -> None:
    head = b'{"type":"GeometryCollection","geometries":['
    point = b'{"type":"Point","coordinates":[1,2]}'
    payload = b'{"type":"Feature","id":1,"geometry":' + head * 4 + point + b"]}" * 4 + b"}"

    built = decode(payload).features.geometry[0]

    assert shapely.get_coordinates(built).tolist() == [[1, 2]]


@pytest.mark.parametrize("kind", ["LineString", "MultiPoint"])
def test_t04_too_many_vertices_are_rejected(kind: str) -> None:
    spec = stream(limits=Limits(vertices=10))
    positions = [[i, i] for i in range(11)]

    assert reason(feature({"type": kind, "coordinates": positions}), spec) == "vertices"
    within = decode(feature({"type": kind, "coordinates": positions[:10]}), spec=spec)
    assert not within.rejected


def test_t04_empty_parts_count_as_vertices() -> None:
    parts = {"type": "MultiLineString", "coordinates": [[]] * 11}

    assert reason(feature(parts), stream(limits=Limits(vertices=10))) == "vertices"


@pytest.mark.parametrize("ordinate", ["1e308", "-1e308", "1.1e9", "1" * 300])
def test_t11_ordinates_out_of_reach_are_rejected_in_every_kind(ordinate: str) -> None:
    far = ordinate.encode()
    for coordinates, kind in [
        (b"[%b,1]", "Point"),
        (b"[1,%b]", "Point"),
        (b"[1,1,%b]", "Point"),
        (b"[[0,0],[%b,0]]", "LineString"),
        (b"[[[0,0],[1,0],[%b,1],[0,0]]]", "Polygon"),
        (b"[[0,0],[%b,0]]", "MultiPoint"),
        (b"[[[[0,0],[1,0],[1,%b],[0,0]]]]", "MultiPolygon"),
    ]:
        geometry = b'{"type":"%b","coordinates":%b}' % (kind.encode(), coordinates % far)
        payload = b'{"type":"Feature","id":1,"geometry":' + geometry + b"}"
        assert reason(payload, stream(crs="EPSG:3857")) == "coordinate"


@pytest.mark.parametrize(
    ("position", "crs", "accepted"),
    [
        ([540, 90], "EPSG:4326", True),
        ([-540, -90], "OGC:CRS84", True),
        ([540.1, 0], "EPSG:4326", False),
        ([0, 90.1], "OGC:CRS84", False),
        ([500000, 6000000], "EPSG:3857", True),
    ],
)
def test_t11_degrees_are_bounded_by_the_sphere_and_metres_are_not(
    position: list[float],
    crs: str,
    accepted: bool,
) -> None:
    decoded = decode(feature({"type": "Point", "coordinates": position}), spec=stream(crs=crs))

    assert (not decoded.rejected) is accepted
    assert accepted or decoded.rejected[0].id == "a"


def test_a_collection_gives_a_feature_each_and_paths_are_relative_to_it() -> None:
    spec = stream(fields=Fields(id="properties.no", time="properties.t"))
    members = [orjson.loads(feature(GEOMETRIES["point"], no=i, t=NOW - i)) for i in (7, 8)]
    payload = orjson.dumps({"type": "FeatureCollection", "features": members})

    features = decode(GOOD.replace(b"{}", b'{"no":1}'), payload, spec=spec).features

    assert features.inputs.tolist() == [0, 1, 1]
    assert features.ids == ["1", "7", "8"]
    assert features.times == [None, NOW - 7, NOW - 8]


def test_an_empty_collection_has_neither_features_nor_a_rejection() -> None:
    decoded = decode(b'{"type":"FeatureCollection","features":[]}')

    assert len(decoded.features) == 0
    assert decoded.rejected == {}


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        (b'{"type":"Feature","id":"b","geometry":{"type":"Point","coordinates":[1]}}', "geometry"),
        (feature({"type": "Point", "coordinates": [1, 91]}), "coordinate"),
        (b'{"type":"Feature","geometry":null}', "id"),
        (b"7", "shape"),
    ],
)  # fmt: skip
def test_one_bad_member_rejects_its_whole_collection(bad: bytes, expected: str) -> None:
    payload = b'{"type":"FeatureCollection","features":[' + GOOD + b"," + bad + b"]}"

    assert reason(payload) == expected


def test_a_collection_of_too_many_features_is_rejected() -> None:
    payload = b'{"type":"FeatureCollection","features":[' + b",".join([GOOD] * 3) + b"]}"

    assert reason(payload, stream(limits=Limits(features=2))) == "features"


@pytest.mark.parametrize(
    ("name", "crs", "accepted"),
    [
        ("EPSG:4326", "EPSG:4326", True),
        ("urn:ogc:def:crs:OGC:1.3:CRS84", "EPSG:4326", True),
        ("urn:ogc:def:crs:EPSG::3857", "EPSG:3857", True),
        ("EPSG:3857", "EPSG:3857", True),
        ("EPSG:3857", "EPSG:4326", False),
        ("EPSG:4326\0", "EPSG:4326", False),
        ("+proj=longlat +nadgrids=/etc/passwd", "EPSG:4326", False),
        (5, "EPSG:4326", False),
    ],
)
def test_a_crs_member_is_accepted_only_where_it_names_the_streams_own(
    name: object,
    crs: str,
    accepted: bool,
) -> None:
    member = {"type": "name", "properties": {"name": name}}
    plain = orjson.loads(GOOD)
    nested = plain | {"geometry": plain["geometry"] | {"crs": member}}

    for document in (plain | {"crs": member}, nested):
        decoded = decode(orjson.dumps(document), spec=stream(crs=crs))
        assert [r.reason for r in decoded.rejected.values()] == ([] if accepted else ["crs"])


def test_a_bare_geometry_takes_its_id_from_the_topic() -> None:
    spec = stream(fields=Fields(id="{topic[1]}"))

    features = decode(b'{"type":"Point","coordinates":[1,2]}', spec=spec).features

    assert features.ids == ["dev0"]
    assert features.id_literals == [b'"dev0"']


def test_t12_integers_beyond_64_bits_stay_exact_in_properties() -> None:
    exact = 18446744073709551617

    features = decode(GOOD.replace(b'"properties":{}', b'"properties":{"n":%d}' % exact)).features

    assert features.properties == [{"n": exact}]
