from __future__ import annotations

import numpy as np
import pyproj.network
import pytest
import shapely

from geoweir.errors import ConfigurationError
from geoweir.spatial.crs import KnownCrs, is_geographic, parse, reproject, transformer
from support.features import objects

HOSTILE = [
    "+proj=longlat +nadgrids=/etc/passwd",
    "+proj=longlat +nadgrids=https://example.org/grid.tif",
    "EPSG:4326\0",
    "epsg:4326",
    " EPSG:4326",
    "EPSG:99999",
    "WGS 84",
    "",
    "+proj=longlat " + "+x=1 " * 200_000,
]


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_t19_a_name_that_the_configuration_does_not_hold_never_reaches_proj(name: str) -> None:
    known = KnownCrs(["EPSG:4326", "EPSG:3857"])
    before = transformer.cache_info()
    assert name not in known
    with pytest.raises(ConfigurationError):
        known.transformer(name, "EPSG:3857")
    with pytest.raises(ConfigurationError):
        known.transformer("EPSG:3857", name)
    assert transformer.cache_info() == before


def test_t19_proj_has_no_network() -> None:
    KnownCrs(["EPSG:4326"])
    assert not pyproj.network.is_network_enabled()  # type: ignore[attr-defined]


def test_a_transformer_is_made_once() -> None:
    known = KnownCrs(["EPSG:4326", "EPSG:3857"])
    assert known.transformer("EPSG:4326", "EPSG:3857") is known.transformer(
        "EPSG:4326", "EPSG:3857"
    )


@pytest.mark.parametrize("name", ["EPSG:99999", "+proj=longlat", "EPSG:4326\0", ""])
def test_a_configured_name_that_is_no_crs_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(ConfigurationError, match="for example EPSG:4326"):
        parse(name)


def test_geographic_crs_are_told_from_projected_ones() -> None:
    assert is_geographic("EPSG:4326")
    assert not is_geographic("EPSG:3857")


def test_reprojection_is_x_before_y_and_keeps_z() -> None:
    given = objects(["POINT (15 50)", "POINT Z (15 50 7)", None, "POINT EMPTY"])
    moved, errors = reproject(given, "EPSG:4326", "EPSG:32633")
    assert errors == [None] * 4
    assert shapely.get_coordinates(moved[:2], include_z=True)[:, 0] == pytest.approx(500_000)
    assert moved[0].y == pytest.approx(5_538_630.7, abs=1)
    assert not moved[0].has_z
    assert moved[1].z == 7
    assert moved[2] is None
    assert moved[3].is_empty


def test_t20_the_pole_is_an_error_of_that_feature_only_and_never_infinite() -> None:
    given = objects(["POINT (1 1)", "POINT (0 90)", "LINESTRING (0 0, 0 90, 0 -90)", "POINT (2 2)"])
    moved, errors = reproject(given, "EPSG:4326", "EPSG:3857")
    assert [error is None for error in errors] == [True, False, False, True]
    assert errors[1] == "the coordinate 0 90 (EPSG:4326) is outside the area of use of EPSG:3857"
    assert np.isfinite(shapely.get_coordinates(moved)).all()
    assert moved[1].y == 90


@pytest.mark.parametrize("wkt", ["POINT (0 91)", "POINT (600 0)", "POINT (1e300 1e300)"])
def test_t20_what_is_no_place_on_earth_is_an_error(wkt: str) -> None:
    _, errors = reproject(objects([wkt]), "EPSG:4326", "EPSG:3857")
    assert errors[0] is not None


@pytest.mark.parametrize("dst", ["EPSG:3857", "EPSG:32633"])
def test_t11_nan_and_infinity_are_errors_and_not_results(dst: str) -> None:
    given = objects([shapely.Point(np.nan, 1), shapely.LineString([(0, 0), (1, np.inf)])])
    _, errors = reproject(given, "EPSG:4326", dst)
    assert None not in errors


def test_an_area_across_the_antimeridian_holds_both_of_its_sides() -> None:
    given = objects(["POINT (179 -40)", "POINT (-179 -40)", "POINT (181 -40)", "POINT (0 -40)"])
    _, errors = reproject(given, "EPSG:4326", "EPSG:3851")  # New Zealand, 160.6 to -171.2
    assert [error is None for error in errors] == [True, True, True, False]


def test_projected_to_projected_is_judged_by_degrees() -> None:
    web, _ = reproject(objects(["POINT (15 50)", "POINT (80 50)"]), "EPSG:4326", "EPSG:3857")
    _, errors = reproject(web, "EPSG:3857", "EPSG:32633")
    assert [error is None for error in errors] == [True, False]
