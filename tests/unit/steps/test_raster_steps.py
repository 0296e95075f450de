"""sample and zonal on features built directly."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from pyproj import Transformer

from geoweir.codec.features import Features
from geoweir.core.spec import RasterSpec, Reference, StepSpec, WorkerSpec
from geoweir.errors import ConfigurationError
from geoweir.spatial.raster.raster import Raster
from geoweir.steps.handed import chains, open_reference
from geoweir.steps.sample import Sample
from geoweir.steps.zonal import Zonal
from support.chunks import chunk_of, feature, stream
from support.features import context, features
from support.rasters import NORTH_UP, mapped, write

NUMBERS = np.arange(40 * 40, dtype=np.int16).reshape(40, 40)
DEM = mapped(NUMBERS, transform=NORTH_UP, nodata=0.0)
FIRST = shapely.box(10.25, 49.5, 10.75, 50).wkt  # pixels 1, 2, 41, 42


def sampled(geometries: Sequence[object], raster: Raster = DEM, **options: Any) -> Features:
    chunk = features(geometries)
    Sample({"raster": "dem"} | options, context(rasters={"dem": raster})).run(chunk)
    return chunk


def measured(geometries: Sequence[object], raster: Raster = DEM, **options: Any) -> Features:
    chunk = features(geometries)
    Zonal({"raster": "dem"} | options, context(rasters={"dem": raster})).run(chunk)
    return chunk


def test_sample_attaches_the_value_or_null() -> None:
    points = ["POINT (10.3 49.9)", "POINT (10.1 49.9)", "POINT (0 0)", "POINT EMPTY", None]
    chunk = sampled(points)
    assert [one["dem"] for one in chunk.properties] == [1, None, None, None, None]
    assert chunk.errors == [None] * 5
    assert type(chunk.properties[0]["dem"]) is int


def test_sample_takes_another_name_method_and_band() -> None:
    two = mapped(NUMBERS, NUMBERS + 1000, transform=NORTH_UP)
    chunk = sampled(["POINT (10.5 49.75)"], two, **{"as": "h", "method": "bilinear", "band": 2})
    assert chunk.properties == [{"h": 1000 + (1 + 2 + 41 + 42) / 4}]


@pytest.mark.parametrize(
    "wkt", ["LINESTRING (10 49, 11 49)", FIRST, "MULTIPOINT ((10 49))", "GEOMETRYCOLLECTION EMPTY"]
)
def test_sample_of_another_geometry_is_that_feature_s_error(wkt: str) -> None:
    chunk = sampled([wkt, "POINT (10.3 49.9)"])
    assert str(chunk.errors[0]).startswith("sample needs a Point, this is a ")
    assert chunk.errors[1] is None
    assert [("dem" in one) for one in chunk.properties] == [False, True]


def test_an_infinite_value_is_null() -> None:
    raster = mapped(np.array([[np.inf]], dtype=np.float32), transform=NORTH_UP)
    assert sampled(["POINT (10.1 49.9)"], raster).properties == [{"dem": None}]


def test_zonal_attaches_what_is_asked_for() -> None:
    stats = ["count", "min", "max", "mean", "sum", "majority"]
    chunk = measured([FIRST, "POLYGON ((0 0, 1 1, 1 0, 0 0))", None], stats=stats)
    assert chunk.properties[0] == {
        "dem_count": 4, "dem_min": 1, "dem_max": 42, "dem_mean": 21.5, "dem_sum": 86,
        "dem_majority": 1,
    }  # fmt: skip
    nothing = {f"dem_{name}": None for name in stats} | {"dem_count": 0}
    assert chunk.properties[1:] == [nothing, nothing]
    assert chunk.errors == [None] * 3


def test_zonal_scales_what_is_stored() -> None:
    raster = mapped(NUMBERS, transform=NORTH_UP, scale=-0.5, offset=10.0)
    stats = ["count", "min", "max", "mean", "sum", "majority"]
    (found,) = measured([FIRST], raster, stats=stats, **{"as": "t"}).properties
    assert found == {
        "t_count": 4, "t_min": -11, "t_max": 9.5, "t_mean": -0.75, "t_sum": -3, "t_majority": 9.5,
    }  # fmt: skip


def test_zonal_counts_every_pixel_that_is_touched_where_asked() -> None:
    sliver = shapely.box(10.3, 49.8, 10.6, 49.85).wkt
    found = [
        measured([sliver], stats=["count"], all_touched=touched).properties[0]["dem_count"]
        for touched in (False, True)
    ]
    assert found == [0, 2]


@pytest.mark.parametrize("wkt", ["POINT (10 49)", "LINESTRING (10 49, 11 49)"])
def test_zonal_of_another_geometry_is_that_feature_s_error(wkt: str) -> None:
    chunk = measured([wkt, FIRST])
    assert str(chunk.errors[0]).startswith("zonal needs a Polygon, this is a ")
    assert chunk.errors[1] is None


def test_too_many_pixels_are_that_feature_s_error_with_their_number() -> None:
    chunk = measured([FIRST, shapely.box(10, 48, 11, 50).wkt], max_pixels=20)
    assert chunk.errors == [
        None,
        "zonal: raster dem: it covers 32 pixels, at most 20 are allowed",
    ]
    assert chunk.properties[1] == {}


def test_features_in_another_crs_are_measured_in_the_raster_s() -> None:
    to_metres = Transformer.from_crs("EPSG:4326", "EPSG:3857", always_xy=True)
    x, y = to_metres.transform(*shapely.get_coordinates(shapely.from_wkt(FIRST)).T)
    box = shapely.Polygon(np.column_stack([x, y]))
    point = shapely.Point(to_metres.transform(10.3, 49.9))
    chunk = features([box, point], crs="EPSG:3857")
    told = context(rasters={"dem": DEM})
    Zonal({"raster": "dem", "stats": ["sum"]}, told).run(chunk)
    assert chunk.properties[0] == {"dem_sum": 86}
    chunk.errors[1] = None
    chunk.geometry[0] = None
    Sample({"raster": "dem"}, told).run(chunk)
    assert chunk.properties[1] == {"dem": 1}
    assert shapely.equals(chunk.geometry[1], point)


def test_what_has_no_image_in_the_raster_s_crs_is_null_or_in_error() -> None:
    raster = mapped(NUMBERS, crs="EPSG:3857", transform=(1e6, 0, -2e7, 0, -1e6, 2e7))
    assert sampled(["POINT (0 90)"], raster).properties == [{"dem": None}]
    polygon = "POLYGON ((0 0, 10 100, 10 0, 0 0))"
    chunk = measured([polygon], raster)
    assert chunk.errors == ["zonal: a vertex has no image in EPSG:3857"]


def test_a_step_on_what_is_not_there_is_not_made() -> None:
    with pytest.raises(ConfigurationError, match=r"no raster is named 'x'\. Rasters: dem"):
        Sample({"raster": "x"}, context(rasters={"dem": DEM}))
    with pytest.raises(ConfigurationError, match=r"raster dem has no band 2\. It has 1"):
        Zonal({"raster": "dem", "band": 2}, context(rasters={"dem": DEM}))


def test_a_file_that_can_no_longer_be_read_is_the_features_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> None:
        raise ConfigurationError("it can't be read whole (gone).")

    raster = mapped(NUMBERS, transform=NORTH_UP)
    monkeypatch.setattr(raster.pixels, "at", broken)
    chunk = sampled(["POINT (10.3 49.9)"], raster)
    assert chunk.errors == ["sample: raster dem: it can't be read whole (gone)."]


def test_features_in_error_are_left_alone() -> None:
    chunk = features(["POINT (10.3 49.9)", FIRST])
    chunk.errors = ["before", "before"]
    told = context(rasters={"dem": DEM})
    Sample({"raster": "dem"}, told).run(chunk)
    Zonal({"raster": "dem"}, told).run(chunk)
    assert chunk.properties == [{}, {}]
    assert chunk.errors == ["before", "before"]


def test_a_worker_has_the_rasters_that_it_is_handed_and_results_name_them(tmp_path: Path) -> None:
    path = tmp_path / "a.gwr"
    version = write(path, NUMBERS, transform=NORTH_UP, crs="EPSG:3857")
    spec = WorkerSpec(
        streams=(stream(steps=(StepSpec(name="sample", options={"raster": "h"}),)),),
        rasters=(RasterSpec(name="h", path="", crs="EPSG:4326"),),
    )
    reference = Reference("raster", "h")
    with path.open("rb") as file:
        raster = open_reference(spec, reference, file.fileno())
    assert raster.crs == "EPSG:4326"  # the configuration's word goes before the file's
    payload = feature({"type": "Point", "coordinates": [10.3, 49.9]})
    done = chains(spec, {reference: raster})[0].run(chunk_of(payload))
    result = json.loads(done.messages[0].payload)
    assert result["properties"]["h"] == 1
    assert result["geoweir"]["rasters"] == {"h": version[:12]}
    assert "layers" not in result["geoweir"]
