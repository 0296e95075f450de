from __future__ import annotations

from typing import Any

import pytest
import shapely

from geoweir.errors import ConfigurationError
from geoweir.steps.nearest import Nearest
from support.features import context, features, layer
from support.geodesics import GEOD

ROADS = ["LINESTRING (10 50, 10.01 50)", "LINESTRING (10 50.001, 10.01 50.001)"]
NOTHING = {
    "roads_id": None,
    "roads_distance": None,
    "roads_snapped": None,
    "roads_measure": None,
    "roads_side": None,
}


def roads(geometries: list[str] | None = None, crs: str = "EPSG:4326") -> dict[str, Any]:
    given = ROADS if geometries is None else geometries
    named = [{"name": f"road {number}", "tags": ["x"]} for number in range(len(given))]
    return {"roads": layer(given, named, name="roads", crs=crs)}


def step(layers: dict[str, Any], **options: Any) -> Nearest:
    return Nearest({"layer": "roads", "max_distance": 200, "attach": []} | options, context(layers))


def test_it_attaches_the_id_distance_place_measure_and_side() -> None:
    chunk = features(["POINT (10.005 50.0001)"], [{"mine": 1}])
    step(roads()).run(chunk)
    got = chunk.properties[0]
    assert set(got) == {"mine", *NOTHING}
    assert got["roads_id"] == "z0"
    assert got["roads_snapped"] == pytest.approx([10.005, 50])
    assert got["roads_distance"] == pytest.approx(
        GEOD.inv(10.005, 50, 10.005, 50.0001)[2], abs=1e-3
    )
    assert got["roads_measure"] == pytest.approx(GEOD.inv(10, 50, 10.005, 50)[2], abs=1e-3)
    assert got["roads_side"] == "left"


@pytest.mark.parametrize(
    ("point", "side"), [("10.005 49.9999", "right"), ("10.005 50", "on"), ("10 50", "on")]
)
def test_the_side_is_right_or_on_as_well(point: str, side: str) -> None:
    chunk = features([f"POINT ({point})"])
    step(roads()).run(chunk)
    assert chunk.properties[0]["roads_side"] == side


def test_fields_of_the_layer_are_attached_as_by_a_join_and_not_shared() -> None:
    layers = roads()
    chunk = features(["POINT (10.005 50.001)"])
    step(layers, attach=["name", "tags"]).run(chunk)
    assert chunk.properties[0]["roads_name"] == "road 1"
    assert "roads_id" not in chunk.properties[0]
    chunk.properties[0]["roads_tags"].append("changed")
    assert layers["roads"].column("tags")[1] == ["x"]


@pytest.mark.parametrize("place", ["POINT (10.005 50.1)", "POINT EMPTY", None])
def test_all_is_null_where_nothing_is_within_the_distance(place: str | None) -> None:
    chunk = features([place, "POINT (10 50)"])
    step(roads()).run(chunk)
    assert chunk.properties[0] == NOTHING
    assert chunk.properties[1]["roads_distance"] == 0
    assert chunk.errors == [None, None]


def test_what_is_no_point_is_that_feature_s_error() -> None:
    chunk = features(["LINESTRING (10 50, 10 51)", "POINT (10 50)", "MULTIPOINT ((10 50))"])
    step(roads()).run(chunk)
    assert chunk.errors == [
        "nearest takes points, and this is a LineString",
        None,
        "nearest takes points, and this is a MultiPoint",
    ]
    assert chunk.properties[0] == {}


def test_a_feature_in_error_or_filtered_is_left_alone() -> None:
    chunk = features(["POINT (10 50)", "POINT (10 50)"])
    chunk.errors[0], chunk.filtered[1] = "before", "where"
    step(roads()).run(chunk)
    assert chunk.properties == [{}, {}]


def test_a_polygon_is_at_no_distance_from_what_it_holds() -> None:
    square = "POLYGON ((10 50, 10.1 50, 10.1 50.1, 10 50.1, 10 50))"
    chunk = features(["POINT (10.05 50.05)", "POINT (10.05 49.999)", "POINT (10 50)"])
    step(roads([square])).run(chunk)
    inside, outside, corner = chunk.properties
    assert inside == {
        "roads_id": "z0",
        "roads_distance": 0,
        "roads_snapped": [10.05, 50.05],
        "roads_measure": None,
        "roads_side": None,
    }
    assert outside["roads_distance"] == pytest.approx(
        GEOD.inv(10.05, 49.999, 10.05, 50)[2], abs=1e-3
    )
    assert outside["roads_side"] is outside["roads_measure"] is None
    assert corner["roads_distance"] == 0


def test_of_polygons_that_hold_a_point_the_first_counts() -> None:
    zones = [shapely.box(0, 0, 1, 1).wkt, shapely.box(0.2, 0.2, 2, 2).wkt]
    chunk = features(["POINT (0.21 0.21)"])
    step(roads(zones), max_distance=5000).run(chunk)
    assert chunk.properties[0]["roads_id"] == "z0"


def test_a_layer_of_points_has_distances_and_places_only() -> None:
    chunk = features(["POINT (10.001 50)"])
    step(roads(["MULTIPOINT ((9 9), (10 50))", "POINT (11 50)"])).run(chunk)
    got = chunk.properties[0]
    assert (got["roads_id"], got["roads_snapped"]) == ("z0", [10, 50])
    assert got["roads_distance"] == pytest.approx(GEOD.inv(10, 50, 10.001, 50)[2], abs=1e-3)
    assert (got["roads_measure"], got["roads_side"]) == (None, None)


def test_layer_and_stream_may_be_in_different_crss() -> None:
    meters = "LINESTRING (500000 5500000, 500100 5500000)"  # UTM 33N
    chunk = features(["POINT (500050 5500030)"], crs="EPSG:32633")
    step(roads([meters], crs="EPSG:32633")).run(chunk)
    got = chunk.properties[0]
    assert got["roads_snapped"] == pytest.approx([500050, 5500000], abs=0.001)
    assert got["roads_distance"] == pytest.approx(30 / 0.9996, abs=0.001)
    assert got["roads_measure"] == pytest.approx(50 / 0.9996, abs=0.001)

    mercator = features([shapely.Point(1113194.9, 6446275.8)], crs="EPSG:3857")  # 10, 50
    step(roads()).run(mercator)
    got = mercator.properties[0]
    assert got["roads_id"] == "z0"
    assert got["roads_distance"] < 0.1
    assert got["roads_snapped"] == pytest.approx([1113194.9, 6446275.8], abs=0.1)


def test_a_coordinate_without_an_image_is_near_to_nothing() -> None:
    chunk = features(["POINT (1e9 1e9)"], crs="EPSG:32633")
    step(roads()).run(chunk)
    assert chunk.properties[0] == NOTHING


def test_unknown_layers_and_fields_are_named() -> None:
    with pytest.raises(ConfigurationError, match="no feature of layer roads has 'nome'"):
        step(roads(), attach=["nome"])
    with pytest.raises(ConfigurationError, match="Layers: roads"):
        step(roads(), layer="road")
