from __future__ import annotations

import math

import numpy as np
import orjson
import pytest
import shapely

from geoweir.codec.geometry_json import geometry_to_json

TEXTS = [
    "POINT (1.5 2)",
    "POINT Z (1 2 3)",
    "POINT EMPTY",
    "LINESTRING (0 0, 1 1)",
    "LINESTRING Z (0 0 1, 1 1 2)",
    "LINESTRING EMPTY",
    "POLYGON ((0 0, 9 0, 9 9, 0 0), (2 1, 3 1, 3 2, 2 1))",
    "POLYGON Z ((0 0 1, 9 0 1, 9 9 1, 0 0 1))",
    "POLYGON EMPTY",
    "MULTIPOINT ((1 2), (3 4))",
    "MULTILINESTRING ((0 0, 1 1), (2 2, 3 3))",
    "MULTIPOLYGON (((0 0, 1 0, 1 1, 0 0)), ((5 5, 9 5, 9 9, 5 5), (7 6, 8 6, 8 7, 7 6)))",
    "MULTIPOLYGON EMPTY",
    "GEOMETRYCOLLECTION (POINT (1 2), GEOMETRYCOLLECTION (LINESTRING (0 0, 1 1)))",
    "GEOMETRYCOLLECTION EMPTY",
]


def test_every_geometry_is_written_as_geojson_in_its_own_place() -> None:
    geometry = shapely.from_wkt(np.array([*TEXTS, *reversed(TEXTS)], dtype=object))

    written = geometry_to_json(geometry)

    # GEOS writes an empty polygon as [[]]; ours is [], which our own decoder reads back.
    assert [orjson.loads(text) for text in written] == [
        orjson.loads(text.replace("[[]]", "[]")) for text in shapely.to_geojson(geometry)
    ]


@pytest.mark.parametrize("x", [0.1 + 0.2, 1e-7, 5e-324, 179.99999999999997, -0.0, 1e9, 1 / 3])
def test_coordinates_come_out_as_the_same_numbers(x: float) -> None:
    shapes = [shapely.Point(x, 1), shapely.LineString([(x, 1), (2, 3)])]

    point, line = (orjson.loads(t) for t in geometry_to_json(np.array(shapes, dtype=object)))

    assert point["coordinates"] == [x, 1]
    assert line["coordinates"] == [[x, 1], [2, 3]]


def test_missing_and_non_finite_geometries_are_null_and_a_missing_z_is_left_out() -> None:
    with np.errstate(invalid="ignore"):
        shapes = [
            None,
            shapely.Point(math.inf, 1),
            shapely.LineString([(0, 0), (1, math.nan)]),
            shapely.LineString([(0, 0, 7), (1, 1, math.nan)]),
            shapely.LinearRing([(0, 0), (1, 0), (1, 1)]),
        ]

    written = [orjson.loads(t) for t in geometry_to_json(np.array(shapes, dtype=object))]

    assert written[:3] == [None, None, None]
    assert written[3]["coordinates"] == [[0, 0, 7], [1, 1]]
    assert written[4] == {
        "type": "LineString",
        "coordinates": [[0, 0], [1, 0], [1, 1], [0, 0]],
    }


def test_no_geometries_are_no_texts() -> None:
    assert geometry_to_json(np.array([], dtype=object)) == []
