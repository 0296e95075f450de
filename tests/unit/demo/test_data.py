"""What is shipped: small, layers that read without repair, licences, and made by our script."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import shapely

from geoweir.demo.config import DATA_DIR
from geoweir.demo.fleet import Fleet
from geoweir.spatial.crs import Geometries
from support.layers import compiled_layer
from support.samples import sample

SCRIPT = Path(__file__).parents[3] / "bench" / "make_demo_data.py"


def test_the_data_is_small() -> None:
    assert sum(path.stat().st_size for path in DATA_DIR.iterdir()) < 1_200_000


def _geometries(name: str) -> Geometries:
    layer = compiled_layer(DATA_DIR / name)
    return layer.geometries(np.arange(len(layer)))


def test_every_file_has_its_source_and_licence() -> None:
    text = (DATA_DIR / "LICENSES.md").read_text(encoding="utf-8")
    for path in DATA_DIR.glob("*.gz"):
        assert f"`{path.name}`" in text


def test_the_layers_need_no_repair_and_have_what_the_demo_attaches() -> None:
    stops = compiled_layer(DATA_DIR / "stops.geojson.gz", strict=True)
    districts = compiled_layer(DATA_DIR / "districts.geojson.gz", strict=True)
    assert all(stops.column("stop_id"))
    assert all(stops.column("name"))
    assert len(set(districts.column("name"))) == len(districts) == 30


def test_a_stop_zone_is_a_circle_of_40_metres() -> None:
    stops = _geometries("stops.geojson.gz")
    degrees = np.sqrt(shapely.area(stops) / np.pi)
    # the mean of the two axes' scales at 16.9 degrees south
    assert degrees * 111_000 * 0.978 == pytest.approx(40.0, rel=0.03)


def test_districts_do_not_overlap_and_hold_every_bus() -> None:
    districts = _geometries("districts.geojson.gz")
    whole = shapely.union_all(districts)
    assert shapely.area(districts).sum() == pytest.approx(whole.area, rel=1e-6)
    fixes = Fleet.load(DATA_DIR).positions(4_000.0)
    assert all(whole.intersects(shapely.Point(fix.lon, fix.lat)) for fix in fixes)


def test_some_buses_are_in_stop_zones_and_some_are_not() -> None:
    tree = shapely.STRtree(_geometries("stops.geojson.gz"))
    fixes = Fleet.load(DATA_DIR).positions(4_000.0)
    hits = [tree.query(shapely.Point(fix.lon, fix.lat), "within").size > 0 for fix in fixes]
    assert 0.1 < sum(hits) / len(hits) < 0.9


@pytest.mark.samples
def test_the_script_makes_what_is_shipped(tmp_path: Path) -> None:
    sources = (
        sample("tracks/cairns_gtfs.zip"),
        sample("nmea/telit-he910.log"),
        sample("nmea/bundg_zeus_9.log"),
    )
    subprocess.run(
        [sys.executable, SCRIPT, sources[0], tmp_path, *sources[1:]], check=True, timeout=60
    )
    made = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert made.keys() == {path.name for path in DATA_DIR.glob("*.gz")}
    # Another zlib or GEOS may differ in a byte; another timetable may not.
    assert Fleet.load(tmp_path).positions(99.0) == Fleet.load(DATA_DIR).positions(99.0)
