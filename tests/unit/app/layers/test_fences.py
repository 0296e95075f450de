"""What a live layer takes of one message."""

from __future__ import annotations

import json

import pytest

from geoweir.app.layers.fences import FenceError, read_fence
from geoweir.core.spec import FenceLimits, LayerSpec

SPEC = LayerSpec(name="z", topic="f/+", limits=FenceLimits(vertices=5))
RING = [[0, 0], [1, 0], [1, 1], [0, 0]]


def feature(geometry: object, **members: object) -> bytes:
    return json.dumps({"type": "Feature", "geometry": geometry, **members}).encode()


def read(payload: bytes, spec: LayerSpec = SPEC, *needed: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(read_fence(spec, "f/last", payload, needed))
    return found


@pytest.mark.parametrize(
    ("kind", "coordinates"),
    [
        ("Point", [1, 2]),
        ("MultiPoint", [[1, 2], [3, 4, 5]]),
        ("LineString", [[1, 2], [3, 4]]),
        ("MultiLineString", [[[1, 2], [3, 4]]]),
        ("Polygon", [RING]),
        ("MultiPolygon", [[RING]]),
    ],
)
def test_every_kind_of_geometry_is_taken_with_the_fields_that_steps_need(
    kind: str, coordinates: object
) -> None:
    geometry = {"type": kind, "coordinates": coordinates}
    line = read(feature(geometry, properties={"a": 1}, bbox=[0, 0, 1, 1]), SPEC, "a", "b")
    assert line == {
        "type": "Feature",
        "id": "last",
        "geometry": geometry,
        "properties": {"a": 1, "b": None},
    }


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"", "no Feature"),
        (b"[" * 100_000, "no Feature"),
        (feature({"type": "GeometryCollection", "geometries": []}), "no Feature"),
        (feature({"type": "Polygon", "coordinates": [RING[:3]]}), "no Feature"),
        (feature({"type": "Polygon", "coordinates": [[*RING, [5, 5]]]}), "not closed"),
        (feature({"type": "LineString", "coordinates": [[0, 0]] * 6}), "more than 5 vertices"),
        (feature({"type": "Point", "coordinates": [1, 90.1]}), "no longitudes"),
        (feature({"type": "Point", "coordinates": [1, 2e9]}), "no Feature"),
        (feature({"type": "Point", "coordinates": [1, 2]}, crs=7), "names the CRS"),
        (
            feature(
                {"type": "Point", "coordinates": [1, 2]}, properties=json.loads("[" * 9 + "]" * 9)
            ),
            "no Feature",
        ),
        (
            feature(
                {"type": "Point", "coordinates": [1, 2]},
                properties={"a": json.loads("[" * 9 + "]" * 9)},
            ),
            "deep",
        ),
    ],
)
def test_what_is_no_fence_is_refused_and_says_why(payload: bytes, why: str) -> None:
    with pytest.raises(FenceError, match=why):
        read(payload)


@pytest.mark.parametrize("name", ["EPSG:4326", "urn:ogc:def:crs:OGC:1.3:CRS84"])
def test_the_layer_s_own_crs_may_be_named(name: str) -> None:
    member = {"type": "name", "properties": {"name": name}}
    assert read(feature({"type": "Point", "coordinates": [1, 2]}, crs=member, id=7))["id"] == "7"


def test_a_projected_layer_takes_metres() -> None:
    spec = LayerSpec(name="z", topic="f/+", crs="EPSG:25832")
    assert read(feature({"type": "Point", "coordinates": [500_000, 5_000_000]}), spec)
