"""The cells of polygons: their size, their fallback, and files that lie."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import shapely

from geoweir.spatial.cells import CellArrays, Cells, build_cells
from geoweir.spatial.kernel.loaded import lib
from geoweir.spatial.ragged import Ragged

pytestmark = pytest.mark.skipif(lib is None, reason="there is no kernel")

Geometries = npt.NDArray[np.object_]


def built(geometries: Any, leaf: int = 16) -> tuple[CellArrays, Ragged]:
    ragged = Ragged.from_shapely(np.array(geometries, dtype=object))
    arrays = build_cells(ragged, ragged.boxes(), leaf)
    assert arrays is not None
    return arrays, ragged


def opened(arrays: CellArrays, ragged: Ragged) -> Cells:
    return Cells(arrays, ragged, np.arange(len(ragged), dtype=np.uint32))


def circles(count: int) -> Geometries:
    rng = np.random.default_rng(5)
    centres = shapely.points(rng.uniform(0, 10, (count, 2)))
    made: Geometries = shapely.buffer(centres, rng.uniform(0.1, 2, count), quad_segs=16)
    return made


def by_geos(geometries: Geometries, points: npt.NDArray[np.float64]) -> list[list[int]]:
    return [np.flatnonzero(shapely.contains_xy(geometries, x, y)).tolist() for x, y in points]


def by_cells(cells: Cells, points: npt.NDArray[np.float64]) -> list[list[int]]:
    owners, features = cells.locate(points, "within", "all")
    return [features[owners == point].tolist() for point in range(len(points))]


def test_overlap_does_not_inflate_the_cells() -> None:
    # 600 circles, some 14 of them anywhere: what covers a cell is listed once for it, not below.
    given = circles(600)
    arrays, ragged = built(given)
    assert arrays.lists.nbytes + arrays.nodes.nbytes < 6 * ragged.coordinates.nbytes
    points = np.random.default_rng(1).uniform(-1, 11, (500, 2))
    assert by_cells(opened(arrays, ragged), points) == by_geos(given, points)


def test_a_star_does_not_inflate_the_cells() -> None:
    turns = np.linspace(0, 2 * np.pi, 3001)
    ends = np.column_stack([np.cos(turns), np.sin(turns)])
    rays = shapely.polygons([[(0, 0), ends[k], ends[k + 1]] for k in range(0, 3000, 2)])
    arrays, ragged = built(rays)
    # No edge is listed more than 16 times on the average, a run taking two or three words.
    assert len(arrays.lists) < 16 * 3 * len(ragged.coordinates)
    points = np.random.default_rng(1).uniform(-0.01, 0.01, (500, 2))
    assert by_cells(opened(arrays, ragged), points) == by_geos(np.array(rays), points)


def test_far_outliers_leave_the_rest_its_small_cells() -> None:
    rng = np.random.default_rng(2)
    spots = rng.uniform(0, 1e-3, (2000, 2))
    town = [shapely.box(x, y, x + 1e-6, y + 1e-6) for x, y in spots]
    arrays, ragged = built([*town, shapely.box(1000, 1000, 1001, 1001)])
    heads = opened(arrays, ragged)
    middles = spots + 5e-7
    assert by_cells(heads, middles) == by_geos(np.array(town), middles)
    assert len(arrays.nodes) > 100


@pytest.mark.parametrize("scale", [1e-250, 1e-30, 1e30, 1e250])
def test_any_scale_will_do(scale: float) -> None:
    boxes = np.array(shapely.box([0, 1, 1], [0, 0, 1], [1, 2, 2], [1, 1, 2]))
    ragged = Ragged.from_shapely(boxes)
    big = Ragged(
        ragged.dimensions, ragged.features, ragged.parts, ragged.rings, ragged.coordinates * scale
    )
    made = build_cells(big, big.boxes())
    assert made is not None
    points = np.array([[0.5, 0.5], [1.5, 0.5], [1.5, 1.5], [0.5, 1.5], [1, 0.5]])
    assert by_cells(opened(made, big), points * scale) == [[0], [1], [2], [], []]


@pytest.mark.parametrize("extent", [1e-300, 1e300])
def test_what_cells_do_not_reach_has_none(extent: float) -> None:
    ragged = Ragged.from_shapely(np.array([shapely.box(0, 0, extent, extent)], dtype=object))
    assert build_cells(ragged, ragged.boxes()) is None


def test_a_layer_without_surfaces_has_none() -> None:
    lines = np.array(shapely.from_wkt(["LINESTRING (0 0, 1 1)", "POINT (0 0)"]), dtype=object)
    ragged = Ragged.from_shapely(lines)
    assert build_cells(ragged, ragged.boxes()) is None


def test_so_many_matches_that_the_room_must_grow() -> None:
    given = np.array([shapely.box(0, 0, 1, 1 + k) for k in range(900)], dtype=object)
    arrays, ragged = built(given)
    owners, features = opened(arrays, ragged).locate(np.full((3, 2), 0.5), "within", "all")
    assert owners.tolist() == np.repeat([0, 1, 2], 900).tolist()
    assert features.tolist() == list(range(900)) * 3


@pytest.mark.parametrize("match", ["all", "first"])
def test_damaged_cells_give_wrong_answers_and_nothing_worse(match: Any) -> None:
    arrays, ragged = built(circles(200))
    rng = np.random.default_rng(3)
    points = rng.uniform(-1, 11, (64, 2))
    values = [0, 1, 2, 3, 2**30, 2**30 + 7, 2**31, 2**31 + 1, 3 * 2**30 + 9, 2**32 - 2, 2**32 - 1]
    for _ in range(300):
        nodes, lists = arrays.nodes.copy(), arrays.lists.copy()
        for array in (nodes.reshape(-1), lists):
            spots = rng.integers(0, len(array), rng.integers(1, 60))
            spots[: len(spots) // 2] %= 64
            array[spots] = rng.choice(np.array(values, dtype=np.uint32), len(spots))
        cut = int(rng.integers(0, len(lists)))
        for some in (lists, lists[:cut]):
            cells = opened(CellArrays(arrays.frame, nodes, some), ragged)
            owners, features = cells.locate(points, "intersects", match)
            assert ((owners >= 0) & (owners < 64)).all()
            assert ((features >= 0) & (features < 200)).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0, -1.0, 5e-324])
@pytest.mark.parametrize("place", range(3))
def test_a_damaged_frame_finds_nothing_outside_the_layer(value: float, place: int) -> None:
    arrays, ragged = built([shapely.box(0, 0, 1, 1)])
    frame = arrays.frame.copy()
    frame[place] = value
    cells = opened(CellArrays(frame, arrays.nodes, arrays.lists), ragged)
    _, features = cells.locate(np.random.default_rng(4).uniform(0, 1, (99, 2)), "within", "all")
    assert (features == 0).all()
