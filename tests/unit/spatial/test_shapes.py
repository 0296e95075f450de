"""A layer's geometries for GEOS: bounded, and never made of a damaged file."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import shapely

from geoweir.spatial.boxes import Boxes, upper_levels
from geoweir.spatial.file.format import LayerFileError
from geoweir.spatial.ragged import Ragged
from geoweir.spatial.shapes import ShapesInFile

WKT = [
    "POLYGON ((0 0, 4 0, 4 4, 0 4, 0 0), (1 1, 1 2, 2 2, 1 1))",
    "MULTIPOLYGON (((0 0, 1 0, 1 1, 0 0)), ((5 5, 9 5, 9 9, 5 5), (6 5.5, 7 5.5, 7 6, 6 5.5)))",
    "LINESTRING (3 3, 4 4)",
    "MULTIPOINT ((1 1), (2 2))",
]


def ragged() -> Ragged:
    return Ragged.from_shapely(np.array(shapely.from_wkt(WKT), dtype=object))


def test_geometries_are_kept_within_the_bound_and_made_again() -> None:
    given = Ragged.from_shapely(np.array([shapely.box(k, 0, k + 1, 1) for k in range(50)]))
    shapes = ShapesInFile(given, Boxes(given.boxes(), upper_levels(given.boxes())), 50)
    for start in (0, 20, 0):
        wanted = np.array([start + 1, start, start + 1, start + 19])
        made = shapes.prepared(wanted)
        assert shapely.is_prepared(made).all()
        assert shapely.bounds(made)[:, 0].tolist() == wanted.tolist()
        assert 0 < shapes.vertices <= 50


@pytest.mark.parametrize("name", ["features", "parts", "rings"])
def test_damaged_offsets_are_refused_or_give_whole_geometries(name: str) -> None:
    whole = ragged()
    offsets = getattr(whole, name)
    refused = 0
    for place in range(len(offsets)):
        for value in (0, 1, 2, 5, 2**31, 2**63, 2**64 - 1):
            wrong = offsets.copy()
            wrong[place] = value
            damaged = dataclasses.replace(whole, **{name: wrong})
            for feature in range(len(whole)):
                try:
                    made = damaged.to_shapely(np.array([feature]))
                except LayerFileError:
                    refused += 1
                else:
                    shapely.is_valid(made)
    assert refused > 10


@pytest.mark.parametrize("value", [np.nan, np.inf, 77.0])
def test_damaged_coordinates_are_refused_where_geos_would_crash(value: float) -> None:
    whole = ragged()
    coordinates = whole.coordinates.copy()
    coordinates[0, 0] = value  # the first ring is no longer closed
    with pytest.raises(LayerFileError, match="compile it again"):
        dataclasses.replace(whole, coordinates=coordinates).to_shapely(np.array([0]))
    assert whole.to_shapely(np.array([0]))[0].area == 15.5
