"""Rasters and the steps that read them, from the configuration to plain values."""

from __future__ import annotations

import pytest

from geoweir.core.spec import RasterSpec, StepSpec
from support.configurations import Folder, codes

RASTERS = (
    "rasters: {dem: {path: dem.tif, compile: false, cache: 2MB},"
    " cover: {path: c.gwr, crs: EPSG:3857, check: 5s}}\n"
)


@pytest.fixture
def rasters(folder: Folder) -> Folder:
    folder.write("dem.tif", "")
    folder.write("c.gwr", "")
    return folder


def stream(*steps: str) -> str:
    return RASTERS + f"streams: {{a: {{subscribe: x, steps: [{', '.join(steps)}]}}}}"


def test_rasters_become_plain_values(rasters: Folder) -> None:
    loaded = rasters.load(stream())
    assert loaded.settings is not None
    home = str(rasters.path)
    assert loaded.settings.rasters == (
        RasterSpec(name="dem", path=f"{home}/dem.tif", in_parts=True, cache=2_000_000),
        RasterSpec(name="cover", path=f"{home}/c.gwr", crs="EPSG:3857", check_s=5.0),
    )


def test_steps_become_options(rasters: Folder) -> None:
    loaded = rasters.load(
        stream(
            "{sample: {raster: dem}}",
            "{sample: {raster: dem, band: 2, as: height, method: bilinear}}",
            "{zonal: {raster: cover}}",
            "{zonal: {raster: cover, band: 3, stats: [majority], all_touched: true, as: c,"
            " max_pixels: 5}}",
        )
    )
    assert loaded.faults == []
    assert loaded.settings is not None
    usual = {"band": 1, "all_touched": False, "max_pixels": 10_000_000}
    assert loaded.settings.streams[0].steps == (
        StepSpec(name="sample", options={"raster": "dem", "band": 1, "method": "nearest"}),
        StepSpec(
            name="sample",
            options={"raster": "dem", "band": 2, "as": "height", "method": "bilinear"},
        ),
        StepSpec(
            name="zonal",
            options={"raster": "cover", "stats": ["count", "min", "max", "mean"], **usual},
        ),
        StepSpec(
            name="zonal",
            options={"raster": "cover", "band": 3, "stats": ["majority"], "all_touched": True,
                     "as": "c", "max_pixels": 5},
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("step", "path", "code"),
    [
        ("{sample: {raster: no}}", "sample.raster", "unknown-name"),
        ("{zonal: {raster: no}}", "zonal.raster", "unknown-name"),
        ("{sample: {}}", "sample.raster", "missing-key"),
        ("{sample: {raster: dem, band: 0}}", "sample.band", "out-of-range"),
        ("{sample: {raster: dem, method: cubic}}", "sample.method", "bad-value"),
        ("{zonal: {raster: dem, stats: []}}", "zonal.stats", "out-of-range"),
        ("{zonal: {raster: dem, stats: [median]}}", "zonal.stats[0]", "bad-value"),
        ("{zonal: {raster: dem, max_pixels: 1000000000}}", "zonal.max_pixels", "out-of-range"),
    ],
)
def test_a_step_with_a_fault_is_refused(rasters: Folder, step: str, path: str, code: str) -> None:
    loaded = rasters.load(stream(step))
    assert codes(loaded) == [(2, f"streams.a.steps[0].{path}", code)]


def test_an_unknown_raster_is_named_with_those_that_there_are(rasters: Folder) -> None:
    (fault,) = rasters.load(stream("{zonal: {raster: no}}")).faults
    assert fault.message == 'no raster is named "no".'
    assert fault.help == "Rasters in this file: dem, cover."
    (fault,) = rasters.load("streams: {a: {subscribe: x, steps: [{zonal: {raster: no}}]}}").faults
    assert fault.help == "This file has no rasters."


def test_an_unknown_crs_is_refused(rasters: Folder) -> None:
    loaded = rasters.load(stream().replace("EPSG:3857", "EPSG:0"))
    assert codes(loaded) == [(1, "rasters.cover.crs", "unknown-crs")]


def test_a_cache_out_of_range_is_refused(rasters: Folder) -> None:
    loaded = rasters.load(stream().replace("2MB", "2KB"))
    assert codes(loaded) == [(1, "rasters.dem.cache", "out-of-range")]


@pytest.mark.parametrize("key", ["compile: false", "cache: 2MB"])
def test_what_a_compiled_raster_has_no_use_for_is_a_fault(rasters: Folder, key: str) -> None:
    loaded = rasters.load(stream().replace("check: 5s", key))
    assert codes(loaded) == [(1, f"rasters.cover.{key.partition(':')[0]}", "conflict")]
