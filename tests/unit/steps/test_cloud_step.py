"""The step ``cloud`` on features built directly."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import shapely

from geoweir.codec.features import Features
from geoweir.codec.geometry_json import geometry_to_json
from geoweir.errors import ConfigurationError
from geoweir.steps.cloud import Cloud
from support.chunks import decode, feature
from support.features import context, features, layer
from support.rasters import mapped

CLOUD = "MULTIPOINT Z ((0 0 1), (0.2 0.1 1.4), (3 3 5), (8 8 9))"


def ran(chunk: Features, layers: dict[str, Any] | None = None, **options: Any) -> Features:
    Cloud(options, context(layers)).run(chunk)
    return chunk


def rows(chunk: Features, index: int = 0) -> list[list[float]]:
    found: list[list[float]] = shapely.get_coordinates(
        chunk.geometry[index], include_z=True
    ).tolist()
    return found


def test_all_operations_in_their_order() -> None:
    chunk = ran(
        features([CLOUD]),
        crop={"bbox": (-1.0, -1.0, 5.0, 5.0)},
        voxel=1.0,
        height_above={"lowest": 10.0},
        stats=["count", "max_z"],
        grid={"cell": 10.0, "value": "max", "as": "heights"},
    )
    # (0.2 0.1 1.4) is nearer to its voxel's centre; the lowest, 1, was found before thinning.
    assert rows(chunk) == [[0.2, 0.1, pytest.approx(0.4)], [3, 3, 4]]
    assert chunk.properties[0] == {
        "cloud_count": 2,
        "cloud_max_z": 4,
        "heights": {
            "rows": 1, "columns": 1, "origin": [0, 10], "cell": 10, "value": "max", "values": [4],
        },
    }  # fmt: skip
    assert chunk.errors == [None]


def test_properties_carry_the_prefix() -> None:
    options: dict[str, Any] = {"grid": {"cell": 9.0, "value": "count"}, "as": "p"}
    chunk = ran(features([CLOUD]), None, stats=["count"], **options)
    assert sorted(chunk.properties[0]) == ["p_count", "p_grid"]
    assert rows(chunk)[0] == [0, 0, 1]


@pytest.mark.parametrize(
    ("geometry", "kind"),
    [
        ("POINT Z (0 0 0)", "a Point"),
        ("LINESTRING (0 0, 1 1)", "a LineString"),
        (None, "null"),
        ("GEOMETRYCOLLECTION (MULTIPOINT (0 0))", "a GeometryCollection"),
    ],
)
def test_what_is_no_cloud_is_that_feature_s_error(geometry: str | None, kind: str) -> None:
    chunk = ran(features([geometry, CLOUD]), stats=["count"])
    assert chunk.errors == [
        f"cloud: the geometry is {kind}; a cloud is a MultiPoint with z",
        None,
    ]
    assert chunk.properties == [{}, {"cloud_count": 4}]


def test_a_cloud_without_any_z_is_in_error() -> None:
    chunk = ran(features(["MULTIPOINT ((0 0), (1 1))"]), stats=["count"])
    assert chunk.errors == ["cloud: no point has a z; a cloud is a MultiPoint with z"]


def test_points_that_are_not_finite_are_dropped_and_counted() -> None:
    with np.errstate(invalid="ignore"):
        made = shapely.multipoints([(0, 0, 1), (1, 1, math.nan), (2, 2, math.inf), (3, 3, 3)])
    chunk = ran(features([made]), stats=["count"])
    assert rows(chunk) == [[0, 0, 1], [3, 3, 3]]
    assert chunk.properties == [{"cloud_count": 2, "cloud_dropped": 2}]


def test_positions_without_z_among_others_are_dropped_and_counted() -> None:
    payload = feature({"type": "MultiPoint", "coordinates": [[0, 0, 1], [1, 1], [], [2, 2, 3]]})
    chunk = ran(decode(payload).features, stats=["count"])
    assert chunk.errors == [None]
    assert chunk.properties == [{"cloud_count": 2, "cloud_dropped": 2}]
    assert geometry_to_json(chunk.geometry) == [
        b'{"type":"MultiPoint","coordinates":[[0.0,0.0,1.0],[2.0,2.0,3.0]]}'
    ]


def test_a_cloud_of_which_nothing_is_left_is_an_empty_multipoint() -> None:
    chunk = ran(
        features([CLOUD, "MULTIPOINT EMPTY"]),
        crop={"bbox": (50.0, 50.0, 60.0, 60.0)},
        stats=["count", "min_z"],
    )
    assert chunk.errors == [None, None]
    assert chunk.properties == [{"cloud_count": 0, "cloud_min_z": None}] * 2
    assert geometry_to_json(chunk.geometry) == [b'{"type":"MultiPoint","coordinates":[]}'] * 2


def test_beyond_a_bound_it_is_the_feature_s_error_with_the_number() -> None:
    chunk = ran(features([CLOUD, "MULTIPOINT Z ((0 0 0))"]), stats=["count"], max_points=3)
    assert chunk.errors == ["cloud: 4 points, at most 3 are allowed (max_points)", None]
    chunk = ran(features([CLOUD]), grid={"cell": 1.0, "max_cells": 80})
    assert chunk.errors == [
        "cloud: the grid would have 9 rows of 9 cells, and 80 cells are allowed"
    ]
    assert chunk.properties == [{}]
    chunk = ran(features([CLOUD]), voxel=1e-300)
    assert chunk.errors == ["cloud: cells of 1e-300 are too small for coordinates of this size"]
    assert len(rows(chunk)) == 4


def test_a_crop_by_a_layer_keeps_what_lies_in_a_polygon_or_on_its_edge() -> None:
    shapes = [shapely.box(3, 3, 4, 4), shapely.box(7, 0, 8, 8), shapely.Point(0, 0), None]
    chunk = ran(features([CLOUD]), {"zones": layer(shapes)}, crop={"layer": "zones"})
    assert rows(chunk) == [[3, 3, 5], [8, 8, 9]]


def test_a_crop_by_a_layer_in_another_crs_leaves_the_points_as_they_are() -> None:
    zone = layer([shapely.box(-1, -1, 400_000, 400_000)], crs="EPSG:3857")
    chunk = ran(
        features(["MULTIPOINT Z ((0 0 1), (3 3 5), (8 8 9), (0 90 1))"]),
        {"zones": zone},
        crop={"layer": "zones"},
    )
    assert rows(chunk) == [[0, 0, 1], [3, 3, 5]]


def test_heights_are_above_a_raster_and_points_above_none_of_it_are_dropped() -> None:
    ground = mapped(
        np.array([[10, 20], [10, -9]], "<f4"), transform=(2, 0, 0, 0, -2, 4), nodata=-9.0
    )
    given = features(["MULTIPOINT Z ((1 3 12), (2 3 20), (3 3 20), (3.5 0.5 7), (99 99 7))"])
    options = {"height_above": {"raster": "dem"}, "stats": ["count"]}
    Cloud(options, context(rasters={"dem": ground})).run(given)
    # Bilinear between the pixels' centres (1, 3) and (3, 3); no value at (3, 1) and outside.
    assert rows(given) == [[1, 3, 2], [2, 3, 5], [3, 3, 0]]
    assert given.properties == [{"cloud_count": 3, "cloud_dropped": 2}]


def test_heights_above_a_raster_in_another_crs_leave_the_places_as_they_are() -> None:
    ground = mapped(
        np.full((2, 2), 5, "<i2"), transform=(1e6, 0, -1e6, 0, -1e6, 1e6), crs="EPSG:3857"
    )
    given = features(["MULTIPOINT Z ((1 1 12), (2 3 20), (0 90 5))"])
    options = {"height_above": {"raster": "dem"}}
    Cloud(options, context(rasters={"dem": ground})).run(given)
    assert rows(given) == [[1, 1, 7], [2, 3, 15]]
    assert given.properties == [{"cloud_dropped": 1}]


def test_a_cloud_far_from_every_polygon_is_cropped_to_nothing() -> None:
    chunk = ran(
        features([CLOUD]), {"zones": layer([shapely.box(50, 50, 51, 51)])}, crop={"layer": "zones"}
    )
    assert (rows(chunk), chunk.errors) == ([], [None])


def test_a_layer_or_raster_that_there_is_not_is_refused_when_the_step_is_made() -> None:
    with pytest.raises(ConfigurationError, match="Layers: none"):
        Cloud({"crop": {"layer": "zones"}}, context())
    with pytest.raises(ConfigurationError, match="Rasters: none"):
        Cloud({"height_above": {"raster": "dem"}}, context())


def test_features_in_error_or_filtered_are_left_alone() -> None:
    chunk = features([CLOUD, CLOUD])
    chunk.errors[0], chunk.filtered[1] = "before", "where"
    ran(chunk, stats=["count"])
    assert (chunk.errors, chunk.properties) == (["before", None], [{}, {}])
