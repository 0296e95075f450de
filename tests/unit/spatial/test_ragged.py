"""Geometries as arrays and back, and the order in which a file holds them."""

from __future__ import annotations

import numpy as np
import shapely

from geoweir.spatial.order import hilbert
from geoweir.spatial.ragged import Ragged

WKT = [
    "POINT (1 2)",
    "POLYGON ((0 0, 4 0, 4 4, 0 4, 0 0), (1 1, 1 2, 2 2, 1 1))",
    "MULTILINESTRING ((0 0, 1 1), (5 5, 6 6, 7 5))",
    "POLYGON EMPTY",
    "MULTIPOLYGON (((0 0, 1 0, 1 1, 0 0)), ((5 5, 9 5, 9 9, 5 5), (6 5.5, 7 5.5, 7 6, 6 5.5)))",
    "LINESTRING (3 3, 4 4)",
    "MULTIPOINT ((1 1), (2 2))",
]


def test_geometries_of_all_kinds_survive_the_way_through_arrays() -> None:
    given = np.array([*shapely.from_wkt(WKT), None], dtype=object)
    ragged = Ragged.from_shapely(given)
    back = ragged.to_shapely(np.arange(len(given)))
    assert [shapely.equals_identical(a, b) for a, b in zip(given[:3], back[:3], strict=True)]
    for a, b in zip(given, back, strict=True):
        assert a is b is None or shapely.is_empty(a) or shapely.equals_exact(a, b)
    assert ragged.dimensions.tolist() == [0, 2, 1, 2, 2, 1, 0, 255]
    boxes = ragged.boxes()
    np.testing.assert_array_equal(boxes, shapely.bounds(given))


def test_some_of_them_can_be_taken_in_any_order() -> None:
    given = np.array(shapely.from_wkt(WKT), dtype=object)
    some = np.array([5, 1, 1, 3])
    back = Ragged.from_shapely(given).take(some).to_shapely(np.arange(4))
    assert [shapely.to_wkt(one) for one in back[:3]] == [WKT[5], WKT[1], WKT[1]]


def test_no_features_at_all() -> None:
    ragged = Ragged.from_shapely(np.array([], dtype=object))
    assert len(ragged) == 0
    assert ragged.boxes().shape == (0, 4)


def test_the_curve_visits_every_cell_once_and_steps_to_a_neighbour() -> None:
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(32), np.arange(32)))
    distance = hilbert(x, y, 5)
    assert sorted(distance) == list(range(1024))
    order = np.argsort(distance)
    steps = np.abs(np.diff(x[order])) + np.abs(np.diff(y[order]))
    assert (steps == 1).all()
