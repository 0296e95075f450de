"""Which pixels a polygon has, and what they come to, drawn by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import shapely

from geoweir.spatial.raster import scankernel, scannumpy
from geoweir.spatial.raster.compiled import MappedPixels
from geoweir.spatial.raster.request import Request, TooLargeError, TooVariedError
from geoweir.spatial.raster.tally import NONE, Stats
from support.features import objects
from support.rasters import PLAIN, mapped

pytestmark = pytest.mark.usefixtures("way")
#: Each pixel its own number: a power of two, so that a sum names its pixels.
POWERS = 2 ** np.arange(25, dtype=np.uint32).reshape(5, 5)


def ask(raster: Any, *geometries: object, **request: Any) -> list[Any]:
    return list(raster.zonal(objects(geometries), Request(**request)))


def drawn(polygon: object, **given: Any) -> list[str]:
    """The pixels of a polygon as rows of # and ."""
    transform = given.pop("transform", PLAIN)
    (found,) = ask(mapped(POWERS, transform=transform), polygon, **given)
    bits = [bool(found.total >> index & 1) for index in range(25)]
    assert found.pixels == found.count == sum(bits)
    return ["".join(".#"[bit] for bit in bits[row * 5 : row * 5 + 5]) for row in range(5)]


def box(west: float, south: float, east: float, north: float) -> str:
    return shapely.box(west, south, east, north).wkt


def test_a_pixel_counts_when_its_centre_is_inside() -> None:
    assert drawn(box(0.4, 0.6, 2.6, 3.4)) == [".....", "###..", "###..", ".....", "....."]


def test_a_centre_on_a_left_edge_is_outside_and_on_a_right_edge_inside() -> None:
    assert drawn(box(0.5, 0, 2.5, 1)) == [".##..", ".....", ".....", ".....", "....."]


def test_a_centre_on_an_upper_edge_is_inside_and_on_a_lower_edge_as_gdal_has_it() -> None:
    # rows counted upwards: GDAL fills the edge at the end too
    assert drawn(box(0, 0.5, 1, 2.5)) == ["#....", "#....", ".....", ".....", "....."]
    upside = (1.0, 0.0, 0.0, 0.0, -1.0, 5.0)
    assert drawn(box(0, 2.5, 1, 4.5), transform=upside) == [
        "#....", "#....", "#....", ".....", ".....",
    ]  # fmt: skip


def test_the_direction_of_a_ring_does_not_matter() -> None:
    ring = shapely.from_wkt("POLYGON ((0.5 0.5, 4.5 0.5, 4.5 3.5, 2.5 4.5, 0.5 0.5))")
    assert drawn(ring) == drawn(shapely.reverse(ring))


def test_a_hole_has_no_pixels() -> None:
    ring = shapely.box(0, 0, 5, 5) - shapely.box(1, 1, 4, 4)
    assert drawn(ring) == ["#####", "#...#", "#...#", "#...#", "#####"]


def test_parts_are_united_where_they_overlap_though_that_is_invalid() -> None:
    both = shapely.MultiPolygon([shapely.box(0, 0, 3, 2), shapely.box(1, 1, 4, 3)])
    assert drawn(both) == ["###..", "####.", ".###.", ".....", "....."]


def test_a_ring_that_crosses_itself_is_taken_by_even_and_odd() -> None:
    bowtie = "POLYGON ((0 -0.3, 5 5.3, 5 -0.3, 0 5.3, 0 -0.3))"
    assert drawn(bowtie) == ["#...#", "##.##", "#####", "##.##", "#...#"]


def test_what_is_outside_of_the_raster_is_cut_off() -> None:
    assert drawn(box(-9, -9, 1, 1)) == ["#....", ".....", ".....", ".....", "....."]
    assert drawn(box(-1e11, -1e11, 1e11, 1e11)) == ["#####"] * 5


def test_what_reaches_out_of_all_proportion_is_refused() -> None:
    (found,) = ask(mapped(POWERS), box(-1e300, 0, 1, 1))
    assert isinstance(found, TooLargeError)


@pytest.mark.parametrize("nothing", [box(9, 9, 11, 11), "POLYGON EMPTY", None, box(0, 0, 0.4, 9)])
def test_no_pixel_is_a_count_of_nothing(nothing: object) -> None:
    (found,) = ask(mapped(POWERS), nothing, majority=True)
    assert (found.pixels, found.count, found.total) == (0, 0, 0)


def test_all_touched_has_every_pixel_that_the_outline_runs_through() -> None:
    line = "POLYGON ((0.2 0.2, 4.8 2.2, 4.8 2.3, 0.2 0.3, 0.2 0.2))"
    assert drawn(line) == [".....", ".....", ".....", ".....", "....."]
    assert drawn(line, all_touched=True) == ["###..", ".####", "....#", ".....", "....."]


def test_all_touched_leaves_out_what_only_shares_a_border() -> None:
    assert drawn(box(1, 1, 3, 3), all_touched=True) == [
        ".....", ".##..", ".##..", ".....", ".....",
    ]  # fmt: skip


def test_a_sheared_raster_is_measured_in_its_own_pixels() -> None:
    sheared = (1.0, 0.5, 0.0, 0.0, 1.0, 0.0)
    row = "POLYGON ((0.5 1, 5.5 1, 6 2, 1 2, 0.5 1))"
    assert drawn(row, transform=sheared) == [".....", "#####", ".....", ".....", "....."]


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8"])
def test_every_type_has_every_statistic(dtype: str) -> None:
    numbers = np.array([[3, 1, 3], [7, 7, 100], [0, 2, 2]], dtype=dtype)
    (found,) = ask(mapped(numbers, nodata=100), box(0, 0, 3, 3), majority=True)
    assert found == Stats(pixels=9, count=8, total=25, least=0, greatest=7, majority=2)


def test_equally_frequent_numbers_the_least_wins() -> None:
    numbers = np.array([[5, -4, 5, -4, 9]], dtype=np.int16)
    assert ask(mapped(numbers), box(0, 0, 5, 1), majority=True)[0].majority == -4
    assert math.isnan(ask(mapped(numbers), box(0, 0, 5, 1))[0].majority)


def test_a_sum_of_whole_numbers_is_exact() -> None:
    numbers = np.full((300, 300), 2**32 - 1, dtype=np.uint32)
    assert ask(mapped(numbers), box(0, 0, 300, 300))[0].total == 90_000 * (2**32 - 1)


def test_a_sum_of_others_loses_nothing_small() -> None:
    numbers = np.ones((1, 200))
    numbers[0, 0], numbers[0, 199] = 1e16, -1e16
    found = ask(mapped(numbers), box(0, 0, 200, 1))[0]
    assert found.total == pytest.approx(198, abs=64)  # within one tile it may be rounded


def test_nan_flags_and_nodata_are_no_values() -> None:
    numbers = np.array([[1, np.nan, 3, -9, np.inf]], dtype=np.float32)
    flags = np.array([[1, 1, 0, 1, 255]], dtype=np.uint8)
    found = ask(mapped(numbers, nodata=-9.0, flags=[flags]), box(0, 0, 5, 1), majority=True)[0]
    assert (found.pixels, found.count, found.least, found.greatest) == (5, 2, 1, math.inf)
    assert (found.total, found.majority) == (math.inf, 1)


def test_an_infinite_nodata_and_one_that_the_type_cannot_hold() -> None:
    numbers = np.array([[1, -np.inf]], dtype=np.float64)
    assert ask(mapped(numbers, nodata=-math.inf), box(0, 0, 2, 1))[0].count == 1
    assert ask(mapped(POWERS, nodata=-9999.0), box(0, 0, 2, 1))[0].count == 2


def test_a_polygon_with_too_many_pixels_is_refused_with_their_number() -> None:
    raster = mapped(np.zeros((200, 200), dtype=np.uint8))
    found = ask(raster, box(0, 0, 100, 100), box(0, 0, 101, 100), limit=10_000)
    assert found[0].count == 10_000
    assert isinstance(found[1], TooLargeError)
    assert str(found[1]) == "it covers 10,100 pixels, at most 10,000 are allowed"


def test_an_outline_that_meets_too_many_rows_is_refused() -> None:
    raster = mapped(np.zeros((20_000, 1), dtype=np.uint8))
    teeth = np.column_stack([np.linspace(0, 1, 2100), np.tile([0, 20_000, 0], 700)])
    (found,) = ask(raster, shapely.Polygon(teeth))
    assert isinstance(found, TooLargeError)
    assert "simplify" in str(found)


def test_a_raster_that_is_not_mapped_is_read_piece_by_piece_to_the_same_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    numbers = np.random.default_rng(1).integers(0, 99, (2500, 1500)).astype(np.uint8)
    raster = mapped(numbers, nodata=5.0)
    shapes = [shapely.Point(700, 1200).buffer(900), box(1023, 1023, 1025, 1025), box(0, 0, 9, 9)]
    whole = [ask(raster, *shapes, all_touched=touched, majority=True) for touched in (0, 1)]
    monkeypatch.setattr(MappedPixels, "whole", lambda *_: None)
    assert [ask(raster, *shapes, all_touched=touched, majority=True) for touched in (0, 1)] == whole


def test_an_outline_that_would_be_followed_too_often_is_refused(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, bound = {
        "kernel": (scankernel, "_MOST_WORK"), "numpy": (scannumpy, "_MOST_STEPS"),
    }[way]  # fmt: skip
    raster = mapped(np.zeros((2000, 2000), dtype=np.uint8))
    monkeypatch.setattr(MappedPixels, "whole", lambda *_: None)
    diamond = "POLYGON ((0 1000, 1000 0, 2000 1000, 1000 2000, 0 1000))"
    assert ask(raster, diamond, all_touched=True)[0].count > 2_000_000
    monkeypatch.setattr(module, bound, 5000)
    (found,) = ask(raster, diamond, all_touched=True)
    assert isinstance(found, TooLargeError)


def test_too_many_different_numbers_have_no_majority_but_the_rest() -> None:
    raster = mapped(np.arange(1001 * 1001, dtype=np.int32).reshape(1001, 1001))
    (found,) = ask(raster, box(0, 0, 1001, 1001), majority=True)
    assert isinstance(found, TooVariedError)
    assert ask(raster, box(0, 0, 1001, 1001))[0].greatest == 1001 * 1001 - 1


def test_tiles_meet_without_a_seam() -> None:
    numbers = np.arange(150 * 200, dtype=np.int32).reshape(150, 200)
    (found,) = ask(mapped(numbers), box(60, 50, 140, 140))
    inside = numbers[50:140, 60:140]
    assert (found.count, found.total) == (inside.size, inside.sum())
    assert (found.least, found.greatest) == (inside.min(), inside.max())


def test_the_second_band_is_another() -> None:
    raster = mapped(np.ones((3, 3), dtype=np.int16), np.full((3, 3), 5, dtype=np.int16))
    assert [ask(raster, box(0, 0, 3, 3), band=band)[0].total for band in (0, 1)] == [9, 45]


def test_no_features_at_all() -> None:
    assert ask(mapped(POWERS)) == []
    assert NONE.count == 0
