"""Values at points: which pixel, which neighbours, and where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from geoweir.errors import ConfigurationError
from support.rasters import NORTH_UP, PLAIN, mapped

NUMBERS = np.array([[10, 20, 30], [40, 50, 60]], dtype=np.int16)
NONE = np.nan


def at(*places: tuple[float, float], method: str = "nearest", **given: object) -> list[float]:
    raster = mapped(given.pop("numbers", NUMBERS), **given)  # type: ignore[arg-type]
    found: list[float] = raster.values_at(np.array(places), method).tolist()  # type: ignore[arg-type]
    return found


def test_a_pixel_s_left_and_upper_edge_belong_to_it() -> None:
    below, above = np.nextafter(1, 0), np.nextafter(1, 2)
    assert at((0, 0), (below, 0), (1, 0), (above, 0)) == [10, 10, 20, 20]
    assert at((0, below), (0, 1)) == [10, 40]


def test_what_is_outside_has_no_value_nor_has_the_raster_s_end() -> None:
    outside = [(-1e-9, 0), (3, 0), (0, -1e-9), (0, 2), (1e300, 0), (np.nan, 0), (0, np.inf)]
    assert np.isnan(at(*outside)).all()
    assert np.isnan(at(*outside, method="bilinear")).all()


def test_north_is_up() -> None:
    found = at((10.1, 49.9), (10.6, 49.6), (10.0, 50.0), (10.25, 49.75), transform=NORTH_UP)
    assert found == [10, 60, 10, 50]


def test_a_rotated_raster_is_read_in_its_own_pixels() -> None:
    turned = (0.0, -1.0, 0.0, 1.0, 0.0, 0.0)  # columns run north, rows run west
    assert at((-0.5, 0.5), (-0.5, 2.5), (-1.5, 0.5), transform=turned) == [10, 30, 40]


def test_a_centre_has_its_pixel_s_value_and_between_centres_they_are_weighed() -> None:
    places = [(0.5, 0.5), (1.0, 0.5), (0.5, 1.0), (1.0, 1.0), (2.25, 1.25)]
    assert at(*places, method="bilinear") == [10, 15, 25, 30, 50]


def test_in_the_outer_half_pixel_the_value_goes_on() -> None:
    assert at((0, 0), (0.1, 1.0), (2.9, 1.9), method="bilinear") == [10, 25, 60]


def test_neighbours_without_a_value_are_left_out_and_the_rest_weighs_more() -> None:
    numbers = np.array([[10, -9], [30, 50]], dtype=np.int16)
    found = at((0.75, 0.75), method="bilinear", numbers=numbers, nodata=-9.0)
    weights = {10: 0.75 * 0.75, 30: 0.75 * 0.25, 50: 0.25 * 0.25}
    assert found[0] == pytest.approx(sum(v * w for v, w in weights.items()) / sum(weights.values()))


def test_in_a_pixel_without_a_value_there_is_none_whatever_is_beside_it() -> None:
    numbers = np.array([[10, np.nan], [30, 50]], dtype=np.float32)
    assert np.isnan(at((1.01, 0.9), method="bilinear", numbers=numbers)).all()


def test_nodata_and_flags_are_no_values() -> None:
    assert np.isnan(at((1.5, 0.5), nodata=20.0)).all()
    flags = [np.array([[1, 0, 1], [1, 1, 1]], dtype=np.uint8)]
    assert np.isnan(at((1.5, 0.5), flags=flags)).all()
    assert at((0.5, 0.5), flags=flags) == [10]


def test_scale_and_offset_are_applied_after_nodata() -> None:
    places = ((0.5, 0.5), (1.5, 0.5), (1.5, 1.5))
    found = at(*places, nodata=20.0, scale=0.1, offset=-100.0)
    assert found[0] == pytest.approx(-99)
    assert np.isnan(found[1])
    assert found[2] == pytest.approx(-95)


def test_values_across_tiles() -> None:
    numbers = np.arange(130 * 200, dtype=np.int32).reshape(130, 200)
    rng = np.random.default_rng(1)
    rows, columns = rng.integers(0, 130, 500), rng.integers(0, 200, 500)
    places = np.column_stack([columns, rows]).astype(np.float64) + 0.5
    assert mapped(numbers).values_at(places).tolist() == numbers[rows, columns].tolist()


def test_no_points_and_no_such_band() -> None:
    raster = mapped(NUMBERS, transform=PLAIN)
    assert raster.values_at(np.empty((0, 2)), "bilinear").shape == (0,)
    for band in (0, 2):
        with pytest.raises(ConfigurationError, match=f"no band {band}. It has 1"):
            raster.values_at(np.empty((0, 2)), band=band)
