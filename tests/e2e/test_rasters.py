"""sample and zonal as a consumer sees them, and what check says of rasters."""

from __future__ import annotations

import json
import os
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


def write_tiff(path: Path) -> None:
    rasterio = pytest.importorskip("rasterio")
    profile = {"driver": "GTiff", "height": 40, "width": 40, "count": 1, "dtype": "int16"}
    place = {"crs": "EPSG:4326", "transform": rasterio.Affine(*NORTH_UP), "nodata": 0}
    with rasterio.open(path, "w", **profile, **place) as file:
        file.write(NUMBERS, 1)


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
    assert "gw.yaml:2:17 rasters.dem.path: raster file " in error
    assert "Copy it again" in error
    ran = command("run", "-c", "gw.yaml", folder=tmp_path)
    assert ran.returncode in {1, 2}
    assert "Traceback" not in ran.stderr


def test_check_names_a_file_that_is_no_geotiff_or_how_to_read_one(tmp_path: Path) -> None:
    (tmp_path / "dem.tif").write_bytes(b"nothing")
    status, _, error = checked(tmp_path, CHECKED.replace("dem.gwr", "dem.tif"))
    assert status == 2
    assert "rasters.dem.path: raster file " in error
    assert "it is no GeoTIFF that can be read" in error or "Install geoweir[rasters]" in error


@pytest.mark.parametrize("is_compiled", [True, False])
def test_a_geotiff_is_compiled_for_all_workers_or_read_by_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_compiled: bool
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_tiff(tmp_path / "dem.tif")
    raster = f"dem.tif, compile: {str(is_compiled).lower()}"
    status, out, _ = checked(tmp_path, CHECKED.replace("dem.gwr", raster))
    assert status == 0
    how = "mapped" if is_compiled else "GeoTIFF, read in parts by each worker"
    assert f"1 band, EPSG:4326, {how}" in out
    steps = [{"zonal": {"raster": "dem", "stats": ["sum"]}}]
    config = {
        "rasters": {"dem": {"path": "dem.tif", "compile": is_compiled}},
        "streams": {"area": {"subscribe": "in/area/#", "steps": steps}},
        "pool": {"workers": 1},
    }
    with run_service(tmp_path, config) as running:
        result = give(running, "area", "a", box(10.25, 49.5, 10.75, 50))
        # Once, by check; a file that is read in parts has no version.
        assert "raster-compiling" in running.service.log() or not is_compiled
    assert result["properties"] == {"dem_sum": 86}
    assert len(list(tmp_path.rglob("*.gwr"))) == is_compiled
    assert ("rasters" in result["geoweir"]) == is_compiled


def test_without_rasterio_the_start_says_what_to_install(tmp_path: Path) -> None:
    write_tiff(tmp_path / "dem.tif")
    (tmp_path / "rasterio.py").write_text("raise ImportError")
    (tmp_path / "gw.yaml").write_text(CHECKED.replace("dem.gwr", "dem.tif"))
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    for name in ("check", "run"):
        ran = command(name, "-c", "gw.yaml", folder=tmp_path, PYTHONPATH=path)
        assert ran.returncode in {1, 2}
        assert "Install geoweir[rasters], or compile the raster elsewhere" in ran.stderr
        assert "Traceback" not in ran.stderr


def test_a_raster_is_compiled_and_described(tmp_path: Path) -> None:
    write_tiff(tmp_path / "dem.tif")
    made = command("compile", "dem.tif", "-o", "dem.gwr", folder=tmp_path)
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith("dem.gwr: raster, version ")
    asked = command("layer", "info", "dem.gwr", "--verify", "--json", folder=tmp_path)
    told = json.loads(asked.stdout)
    assert (told["width"], told["height"], told["crs"]) == (40, 40, "EPSG:4326")
    assert [(band["dtype"], band["nodata"]) for band in told["bands"]] == [("<i2", 0)]
    assert "band 1    dtype <i2" in command("layer", "info", "dem.gwr", folder=tmp_path).stdout
    asked = command("layer", "query", "dem.gwr", "1", "2", folder=tmp_path)
    assert asked.returncode == 1
    assert "it is a compiled raster, not a layer" in asked.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["dem.tif", "--crs", "EPSG:3857"], 2, "a raster stays in its own CRS"),
        (["dem.tif", "--keep", "x"], 2, "--keep is for layers"),
        (["none.tif"], 1, "there is no such file"),
    ],
)
def test_a_mistake_in_compiling_a_raster_is_one_line(
    tmp_path: Path, arguments: list[str], status: int, says: str
) -> None:
    write_tiff(tmp_path / "dem.tif")
    done = command("compile", *arguments, "-o", "x.gwr", folder=tmp_path)
    assert done.returncode == status
    assert says in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "x.gwr").exists()
