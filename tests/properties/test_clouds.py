"""Clouds: the kernel, numpy and the plainest reckoning give the same answers."""

from __future__ import annotations

import math
from collections import defaultdict

import hypothesis.strategies as st
import numpy as np
import pytest
import shapely
from hypothesis import given, settings

from geoweir.spatial.cloud import crop, ground, voxels
from geoweir.spatial.cloud.points import Points
from geoweir.spatial.kernel.loaded import has_kernel
from support.features import objects

needs_kernel = pytest.mark.skipif(not has_kernel(), reason="no kernel: nothing to compare")
#: Round numbers meet in cells, on edges and in ties; the others meet nowhere.
numbers = st.one_of(
    st.integers(-8, 8).map(float),
    st.integers(-32, 32).map(lambda quarter: quarter / 4),
    st.floats(-10, 10, allow_subnormal=False),
)
clouds = st.lists(st.tuples(numbers, numbers, numbers), max_size=60).map(
    lambda rows: np.array(rows, dtype=np.float64).reshape(-1, 3)
)
sizes = st.one_of(st.sampled_from([0.5, 1.0, 3.0]), st.floats(1e-3, 1e3))


def cells_of(points: Points, size: float, axes: int) -> dict[tuple[int, ...], list[int]]:
    cells = defaultdict(list)
    for index, point in enumerate(points.tolist()):
        cells[tuple(math.floor(value / size) for value in point[:axes])].append(index)
    return cells


def nearest(points: Points, size: float, cell: tuple[int, ...], some: list[int]) -> int:
    def rank(index: int) -> tuple[object, ...]:
        offsets = [v - (k + 0.5) * size for v, k in zip(points[index], cell, strict=True)]
        squares = [offset * offset for offset in offsets]
        return (squares[0] + squares[1] + squares[2], *points[index], index)

    return min(some, key=rank)


@given(clouds, sizes)
def test_a_voxel_keeps_one_point_by_the_stated_rule(points: Points, size: float) -> None:
    cells = cells_of(points, size, 3)
    expected = sorted(nearest(points, size, cell, some) for cell, some in cells.items())
    assert voxels.thinned(points, size).tolist() == expected


@given(clouds, sizes)
def test_the_ground_is_the_least_z_of_each_cell(points: Points, size: float) -> None:
    expected = np.empty(len(points))
    for some in cells_of(points, size, 2).values():
        expected[some] = points[some, 2].min()
    assert np.array_equal(ground.lowest(points, size), expected)


@needs_kernel
@settings(max_examples=200)
@given(st.integers(0, 2**32), st.integers(0, 3000), sizes)
def test_kernel_and_numpy_thin_and_measure_alike(seed: int, count: int, size: float) -> None:
    rng = np.random.default_rng(seed)
    points = rng.normal(0, 10, (count, 3)).round(rng.integers(0, 4))
    assert np.array_equal(voxels._by_hashing(points, size), voxels._by_sorting(points, size))
    assert np.array_equal(ground.lowest(points, size), ground._by_sorting(points, size))


def polygons_of(rng: np.random.Generator) -> np.ndarray[tuple[int], np.dtype[np.object_]]:
    """Overlapping circles, rings, thin slivers and multipolygons, some on a grid of integers."""
    shapes: list[shapely.Geometry] = []
    for kind in rng.integers(0, 4, rng.integers(1, 8)):
        x, y = rng.uniform(-10, 10, 2).round(rng.integers(0, 3))
        circle = shapely.Point(x, y).buffer(rng.uniform(0.5, 6), quad_segs=int(rng.integers(1, 9)))
        if kind == 0:
            shapes.append(circle)
        elif kind == 1:
            shapes.append(circle.difference(shapely.Point(x, y).buffer(0.4)))
        elif kind == 2:
            shapes.append(shapely.Polygon([(x, y), (x + 9, y + 1e-9), (x + 5, y + 2e-9)]))
        else:
            shapes.append(
                shapely.MultiPolygon(
                    [shapely.box(x, y, x + 2, y + 1), shapely.box(x, y + 2, x + 3, y + 4)]
                )
            )
    return objects(shapes)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32))
def test_a_crop_is_geos_s_on_vertices_edges_and_an_ulp_beside_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    polygons = polygons_of(rng)
    vertices = shapely.get_coordinates(polygons)
    between = vertices[:-1] + (vertices[1:] - vertices[:-1]) * rng.random((len(vertices) - 1, 1))
    close = np.concatenate([vertices, between])
    beside = np.column_stack([np.nextafter(close[:, 0], 1e9), close[:, 1]])
    away = rng.uniform(-20, 20, (500, 2))
    below, above = np.nextafter(close, -1e9), np.nextafter(close, 1e9)
    xy = np.concatenate([close, below, above, beside, away])
    points = np.column_stack([xy, np.zeros(len(xy))])
    holds = shapely.intersects_xy(polygons[:, None], xy[None, :, 0], xy[None, :, 1])
    expected = np.asarray(np.atleast_2d(holds).any(axis=0))
    for some in (slice(None), slice(7)):
        assert np.array_equal(crop.in_polygons(points[some], polygons), expected[some])


@given(clouds, st.integers(0, 2**32))
def test_the_order_of_the_points_makes_no_difference(points: Points, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(points))
    kept, shuffled = points[voxels.thinned(points, 1.0)], points[order]
    again = shuffled[voxels.thinned(shuffled, 1.0)]
    assert sorted(kept.tolist()) == sorted(again.tolist())
