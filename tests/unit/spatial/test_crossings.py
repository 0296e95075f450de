from __future__ import annotations

import itertools

import numpy as np
import pytest
import shapely

from geoweir.spatial.crossings import crossings

MANY = 10**9


@pytest.mark.parametrize(
    ("wkt", "count"),
    [
        ("POLYGON ((0 0, 1 0, 1 1, 0 1, 0 0))", 0),
        ("POLYGON ((0 0, 1 1, 1 0, 0 1, 0 0))", 1),
        ("POLYGON EMPTY", 0),
        ("LINESTRING (0 0, 1 1, 1 0, 0 1)", 0),
        ("GEOMETRYCOLLECTION (MULTIPOLYGON (((0 0, 1 1, 1 0, 0 1, 0 0))), POINT (1 1))", 1),
        ("MULTIPOLYGON (((0 0, 9 0, 9 9, 0 9, 0 0)), ((4 4, 5 4, 5 12, 4 12, 4 4)))", 2),
    ],
)
def test_pairs_of_segments_are_counted_once_and_neighbours_not(wkt: str, count: int) -> None:
    assert crossings(shapely.from_wkt(wkt), MANY) == count


@pytest.mark.parametrize("seed", range(5))
def test_it_agrees_with_geos_on_random_rings(seed: int) -> None:
    ring = np.random.default_rng(seed).random((70, 2))
    lines = [shapely.LineString(pair) for pair in np.stack([ring, np.roll(ring, -1, axis=0)], 1)]
    pairs = sum(a.intersects(b) for a, b in itertools.combinations(lines, 2))

    assert crossings(shapely.Polygon(ring), MANY) == pairs - len(lines)


def test_counting_ends_soon_after_the_most() -> None:
    ring = shapely.Polygon(np.random.default_rng(1).random((499, 2)))
    assert 100 < crossings(ring, 100) < 5000
