"""The step ``nearest`` as a consumer sees it, and as ``check`` explains it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from pyproj import Geod

from support.outside import point
from support.running import Running, run_service

ROAD = {"type": "LineString", "coordinates": [[24.94, 60.17], [24.95, 60.17]]}
LAYER = {"type": "Feature", "id": "r1", "geometry": ROAD, "properties": {"name": "Main"}}
STREAM = {
    "subscribe": "in/#",
    "steps": [{"nearest": {"layer": "roads", "max_distance": 50, "attach": ["name"]}}],
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("nearest")
    (folder / "roads.geojson").write_text(json.dumps(LAYER))
    configuration = {
        "layers": {"roads": {"path": "roads.geojson"}},
        "streams": {"cars": STREAM},
        "pool": {"workers": 1},
    }
    with run_service(folder, configuration) as made:
        yield made


def test_a_position_gets_its_road_in_metres(running: Running) -> None:
    given = point("near", 24.945, 60.1701)
    got = running.give("in/x", given, "geoweir/cars/near")["properties"]
    geod = Geod(ellps="WGS84")
    assert got["roads_name"] == "Main"
    assert got["roads_distance"] == pytest.approx(
        geod.inv(24.945, 60.17, 24.945, 60.1701)[2], abs=0.002
    )
    assert got["roads_snapped"] == pytest.approx([24.945, 60.17])
    assert got["roads_measure"] == pytest.approx(geod.inv(24.94, 60.17, 24.945, 60.17)[2], abs=0.01)
    assert got["roads_side"] == "left"


def test_a_position_far_from_every_road_gets_nulls(running: Running) -> None:
    got = running.give("in/x", point("far", 25.5, 60.17), "geoweir/cars/far")["properties"]
    assert {name: value for name, value in got.items() if name.startswith("roads_")} == {
        "roads_name": None,
        "roads_distance": None,
        "roads_snapped": None,
        "roads_measure": None,
        "roads_side": None,
    }


def test_a_line_is_an_error_result_and_the_stream_goes_on(running: Running) -> None:
    line = {"type": "Feature", "id": "line", "geometry": ROAD, "properties": {}}
    body = running.give("in/x", json.dumps(line).encode(), "geoweir/cars/line")
    assert body["geoweir"]["status"] == "error"
    assert body["geoweir"]["message"] == "nearest takes points, and this is a LineString"
    after = running.give("in/x", point("after", 24.945, 60.17), "geoweir/cars/after")
    assert after["properties"]["roads_distance"] == 0
