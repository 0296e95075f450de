"""The operations on clouds, each on points whose answer can be seen."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from cloud import by_pure_lexsort, by_unique, polygons_over, prepared, read_raw
from geoweir.spatial.cloud.crop import Box, in_polygons
from geoweir.spatial.cloud.grid import gridded
from geoweir.spatial.cloud.ground import lowest
from geoweir.spatial.cloud.points import CloudError, Points, usable
from geoweir.spatial.cloud.statistics import STATISTICS, measured
from geoweir.spatial.cloud.voxels import thinned
from geoweir.spatial.kernel.loaded import has_kernel
from support.features import objects
from support.samples import sample

NONE = np.empty((0, 3))


def cloud(*rows: tuple[float, float, float]) -> Points:
    return np.array(rows, dtype=np.float64).reshape(-1, 3)


def test_only_rows_of_finite_numbers_are_a_cloud() -> None:
    rows = cloud((0, 0, 0), (np.nan, 0, 0), (0, np.inf, 0), (0, 0, -np.inf), (1, 1, 1))
    assert usable(rows).tolist() == [[0, 0, 0], [1, 1, 1]]


def test_a_voxel_keeps_the_point_nearest_to_its_centre() -> None:
    points = cloud((0.1, 0.1, 0.1), (0.6, 0.5, 0.5), (0.9, 0.9, 0.9), (-0.1, 0.5, 0.5))
    assert thinned(points, 1.0).tolist() == [1, 3]


def test_of_equally_near_points_the_least_stays_whatever_the_order() -> None:
    points = cloud((0.75, 0.5, 0.5), (0.25, 0.5, 0.5), (0.5, 0.25, 0.5), (0.5, 0.5, 0.75))
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]):
        chosen = points[order][thinned(points[order], 1.0)]
        assert chosen.tolist() == [[0.25, 0.5, 0.5]]


def test_voxels_begin_at_multiples_of_their_edge_so_a_crop_is_thinned_as_the_whole() -> None:
    points = np.random.default_rng(1).uniform(-50, 50, (3000, 3))
    whole = points[thinned(points, 5.0)]
    part = points[points[:, 0] < 0]
    assert np.array_equal(part[thinned(part, 5.0)], whole[whole[:, 0] < 0])


@pytest.mark.parametrize("far", [1e300, -1e300, 2.0**52])
def test_cells_that_a_double_cannot_tell_apart_are_refused(far: float) -> None:
    with pytest.raises(CloudError, match=r"cells of 1 are too small"):
        thinned(cloud((0, 0, 0), (0, far, 0)), 1.0)
    with pytest.raises(CloudError, match=r"cells of 1 are too small"):
        lowest(cloud((0, 0, 0), (0, far, 0)), 1.0)
    with pytest.raises(CloudError, match=r"cells of 1 are too small"):
        gridded(cloud((0, 0, 0), (0, far, 0)), 1.0, "max", 10)


def test_the_ground_is_the_lowest_point_of_the_cell() -> None:
    points = cloud((0.1, 0.1, 5), (0.9, 0.9, 3), (-0.1, 0.1, 9), (0.1, 1.0, 7))
    assert lowest(points, 1.0).tolist() == [3, 3, 9, 7]


def test_nothing_in_nothing_out() -> None:
    assert thinned(NONE, 1.0).tolist() == []
    assert lowest(NONE, 1.0).tolist() == []
    assert in_polygons(NONE, objects([shapely.box(0, 0, 1, 1)])).tolist() == []
    assert in_polygons(cloud((0, 0, 0)), objects([])).tolist() == [False]
    assert gridded(NONE, 1.0, "count", 10)["values"] == []
    assert measured(NONE, ["count", "max_z", "density"]) == {
        "count": 0,
        "max_z": None,
        "density": None,
    }


def test_a_box_holds_its_faces() -> None:
    points = cloud((0, 0, 0), (1, 1, 9), (1.1, 0, 0), (0, 1.1, 0), (0, 0, 9.1), (0, 0, -0.1))
    flat = Box.from_bbox((0, 0, 1, 1)).contains(points)
    assert flat.tolist() == [True, True, False, False, True, True]
    solid = Box.from_bbox((0, 0, 0, 1, 1, 9)).contains(points)
    assert solid.tolist() == [True, True, False, False, False, False]


@pytest.mark.parametrize("copies", [1, 500])  # few points are counted singly, many by cells
def test_edges_and_vertices_are_in_and_holes_are_out(copies: int) -> None:
    holed = shapely.Polygon([(0, 0), (9, 0), (9, 9), (0, 9)], [[(3, 3), (6, 3), (6, 6), (3, 6)]])
    other = shapely.box(20, 0, 29, 9)
    rows = [(1, 1), (0, 4), (9, 9), (4, 4), (3, 4), (6, 6), (15, 4), (20, 0), (25, 5), (30, 5)]
    points = np.repeat(cloud(*((x, y, 7) for x, y in rows)), copies, axis=0)
    expected = [True, True, True, False, True, True, False, True, True, False]
    assert in_polygons(points, objects([holed, other])).tolist() == list(
        np.repeat(expected, copies)
    )


def test_overlapping_polygons_do_not_cancel_out() -> None:
    polygons = objects([shapely.box(0, 0, 2, 2), shapely.box(1, 1, 3, 3)])
    assert in_polygons(cloud((1.5, 1.5, 0), (0.5, 0.5, 0), (2.5, 0.5, 0)), polygons).tolist() == [
        True,
        True,
        False,
    ]


def test_what_is_not_finite_lies_in_no_polygon() -> None:
    points = cloud((np.nan, 1, 0), (1, np.inf, 0), (1, 1, 0))
    assert in_polygons(points, objects([shapely.box(0, 0, 2, 2)])).tolist() == [False, False, True]


def test_points_within_an_ulp_of_a_slanted_edge_are_where_geos_has_them() -> None:
    triangle = shapely.Polygon([(0.1, 0.1), (97.3, 31.7), (12.9, 88.1)])
    along = np.linspace(0.1, 97.3, 2000)
    on_edge = np.column_stack([along, 0.1 + (along - 0.1) * (31.6 / 97.2), along])
    points = np.concatenate([np.nextafter(on_edge, to) for to in (-1e9, on_edge, 1e9)])
    inside = in_polygons(points, objects([triangle]))
    expected = shapely.intersects_xy(triangle, points[:, 0], points[:, 1])
    assert np.array_equal(inside, expected)
    assert 0 < inside.sum() < len(points)


@pytest.mark.skipif(not has_kernel(), reason="the kernel's bound")
def test_a_crop_that_would_take_long_is_refused() -> None:
    # A comb: every edge passes every point's height.
    teeth = np.repeat(np.arange(8000.0), 2)
    heights = np.tile([0.0, 1.0, 1.0, 0.0], 4000)
    comb = shapely.Polygon([*zip(teeth, heights, strict=True), (8000, -1), (-1, -1)])
    points = np.random.default_rng(3).uniform(0, 1, (250_000, 3)) * [8000, 1, 1]
    with pytest.raises(CloudError, match=r"too many to crop by"):
        in_polygons(points, objects([comb]))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("max", [None, 5, 4, 9]),
        ("min", [None, 5, 1, 9]),
        ("mean", [None, 5, 2.5, 9]),
        ("count", [0, 1, 2, 1]),
    ],
)
def test_a_grid_begins_in_the_north_west(value: str, expected: list[float | None]) -> None:
    points = cloud((0, 0, 1), (1.5, 1.5, 4), (2, 1, 9), (2.5, 2, 5))
    assert gridded(points, 2.0, value, 4) == {  # type: ignore[arg-type]
        "rows": 2,
        "columns": 2,
        "origin": [0.0, 4.0],
        "cell": 2.0,
        "value": value,
        "values": expected,
    }


def test_t32_a_grid_over_its_bound_is_refused_with_the_numbers() -> None:
    points = cloud((0, 0, 0), (99, 0, 0))
    assert gridded(points, 1.0, "max", 100)["columns"] == 100
    with pytest.raises(CloudError, match=r"1 rows of 100 cells, and 99 cells are allowed"):
        gridded(points, 1.0, "max", 99)


def test_statistics_are_of_z_and_of_the_convex_hull() -> None:
    points = cloud((0, 0, 1), (4, 0, 2), (4, 5, 3), (0, 5, 4), (2, 2, 10))
    assert measured(points, STATISTICS) == {
        "count": 5,
        "min_z": 1,
        "max_z": 10,
        "mean_z": 4,
        "std_z": pytest.approx(np.std([1, 2, 3, 4, 10])),
        "median_z": 3,
        "p95_z": pytest.approx(8.8),
        "area": 20,
        "density": 0.25,
    }


def test_a_cloud_in_a_line_has_no_density() -> None:
    assert measured(cloud((0, 0, 0), (1, 1, 1)), ["density"]) == {"density": None}


@pytest.mark.samples
def test_a_recorded_cloud_is_treated_as_by_plain_numpy_and_shapely() -> None:
    points = read_raw(sample("lidar/simple.las"))
    assert len(points) == 1065
    for polygons in polygons_over(points).values():
        inside = in_polygons(points, polygons)
        assert np.array_equal(inside, prepared(points, polygons))
        assert 0 < inside.sum() < len(points)
    for size in (20.0, 300.0):
        assert np.array_equal(thinned(points, size), by_pure_lexsort(points, size))
        assert np.array_equal(lowest(points, size), by_unique(points, size))
