"""sample and zonal as a consumer sees them, and what check says of rasters."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest

from support.outside import point
from support.rasters import NORTH_UP, write
from support.running import Running, run_service
from support.service import command

NUMBERS = np.arange(40 * 40, dtype=np.int16).reshape(40, 40)
STATS = ["count", "min", "max", "mean", "sum", "majority"]
STREAMS: dict[str, Any] = {
    "point": {"steps": [{"sample": {"raster": "dem"}}]},
    "between": {"steps": [{"sample": {"raster": "dem", "as": "h", "method": "bilinear"}}]},
    "area": {"steps": [{"zonal": {"raster": "dem", "stats": STATS, "max_pixels": 100}}]},
}
CHECKED = """\
mqtt: {url: "mqtt://127.0.0.1:1"}
rasters: {dem: {path: dem.gwr}}
streams:
  a:
    subscribe: in/+
    steps:
      - sample: {raster: dem}
      - zonal: {raster: dem, band: 1}
http: {listen: "127.0.0.1:0"}
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("rasters")
    write(folder / "dem.gwr", NUMBERS, transform=NORTH_UP, nodata=0.0)
    config = {
        "rasters": {"dem": {"path": "dem.gwr"}},
        "streams": {
            name: {"subscribe": f"in/{name}/#"} | stream for name, stream in STREAMS.items()
        },
        "pool": {"workers": 1},
    }
    with run_service(folder, config) as made:
        yield made


def give(running: Running, stream: str, ident: str, geometry: dict[str, Any]) -> dict[str, Any]:
    document = {"type": "Feature", "id": ident, "geometry": geometry, "properties": {}}
    payload = json.dumps(document).encode()
    return running.give(f"in/{stream}/x", payload, f"geoweir/{stream}/{ident}")


def box(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def test_a_point_gets_the_raster_s_value_and_null_where_there_is_none(running: Running) -> None:
    for ident, place, value in (
        ("a", (10.3, 49.9), 1),
        ("b", (10.1, 49.9), None),
        ("c", (0, 0), None),
    ):
        payload = point(ident, *place)
        result = running.give("in/point/x", payload, f"geoweir/point/{ident}")
        assert result["properties"] == {"dem": value}
        assert result["geoweir"]["status"] == "valid"


def test_between_centres_values_are_weighed(running: Running) -> None:
    result = running.give("in/between/x", point("a", 10.5, 49.75), "geoweir/between/a")
    assert result["properties"] == {"h": (1 + 2 + 41 + 42) / 4}


def test_a_polygon_gets_statistics(running: Running) -> None:
    result = give(running, "area", "a", box(10.25, 49.5, 10.75, 50))
    assert result["properties"] == {
        "dem_count": 4, "dem_min": 1, "dem_max": 42, "dem_mean": 21.5, "dem_sum": 86,
        "dem_majority": 1,
    }  # fmt: skip
    empty = give(running, "area", "b", box(0, 0, 1, 1))["properties"]
    assert empty == {f"dem_{name}": None for name in STATS} | {"dem_count": 0}


def test_what_cannot_be_measured_is_that_feature_s_error(running: Running) -> None:
    large = give(running, "area", "large", box(10, 40, 20, 50))
    assert large["geoweir"]["status"] == "error"
    message = "zonal: raster dem: it covers 1,600 pixels, at most 100 are allowed"
    assert large["geoweir"]["message"] == message
    line = give(running, "point", "line", {"type": "LineString", "coordinates": [[1, 1], [2, 2]]})
    assert line["geoweir"]["message"] == "sample needs a Point, this is a LineString"


def checked(folder: Path, text: str) -> tuple[int, str, str]:
    (folder / "gw.yaml").write_text(dedent(text))
    found = command("check", "-c", "gw.yaml", folder=folder)
    assert "Traceback" not in found.stderr
    return found.returncode, found.stdout, found.stderr


def test_check_opens_rasters_and_says_what_they_are(tmp_path: Path) -> None:
    write(tmp_path / "dem.gwr", NUMBERS)
    status, out, _ = checked(tmp_path, CHECKED)
    assert status == 0
    assert "open      dem: 40 x 40 pixels, 1 band, EPSG:4326, mapped" in out.splitlines()


def test_check_names_a_damaged_raster_and_a_band_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "dem.gwr"
    write(path, NUMBERS)
    status, _, error = checked(tmp_path, CHECKED.replace("band: 1", "band: 2"))
    assert status == 2
    assert "gw.yaml:8:9 streams.a.steps[1].zonal: raster dem has no band 2." in error
    path.write_bytes(path.read_bytes()[:-1])
    status, _, error = checked(tmp_path, CHECKED)
    assert status == 2
    assert "gw.yaml:2:17 rasters.dem.path: raster dem: " in error
    assert "copy it again" in error
    ran = command("run", "-c", "gw.yaml", folder=tmp_path)
    assert ran.returncode in {1, 2}
    assert "Traceback" not in ran.stderr


def test_check_names_a_file_that_is_no_geotiff_or_how_to_read_one(tmp_path: Path) -> None:
    (tmp_path / "dem.tif").write_bytes(b"nothing")
    status, _, error = checked(tmp_path, CHECKED.replace("dem.gwr", "dem.tif"))
    assert status == 2
    assert "rasters.dem.path: raster dem: " in error
    assert "it is no GeoTIFF that can be read" in error or "Install geoweir[rasters]" in error
