"""Whatever the polygons and wherever the point: the answer is GEOS's, with and without a kernel."""

from __future__ import annotations

import os

import hypothesis.strategies as st
import numpy as np
import numpy.typing as npt
import pytest
import shapely
from hypothesis import given, settings

import layers
from geoweir.spatial.file.mapped import MappedFile
from geoweir.spatial.layer import Layer
from geoweir.spatial.layerfile import LayerFeatures, write_layer
from support.features import objects

Geometries = npt.NDArray[np.object_]
Points = npt.NDArray[np.float64]

#: Whole numbers, so that edges cross, touch and coincide; some moved by one ulp.
steps = st.integers(0, 8).map(float)
near = st.tuples(steps, st.sampled_from([0, -1, 1])).map(
    lambda pair: pair[0] + pair[1] * float(np.spacing(pair[0])) if pair[0] else pair[0]
)
spots = st.tuples(near, near)
polygons = (
    st.lists(st.tuples(steps, steps), min_size=3, max_size=9, unique=True)
    .map(lambda ring: shapely.make_valid(shapely.Polygon(ring), method="structure"))
    .filter(lambda made: made.geom_type in {"Polygon", "MultiPolygon"} and made.area > 0)
)
lines = st.lists(st.tuples(steps, steps), min_size=2, max_size=4, unique=True).map(
    shapely.LineString
)


def both(geometries: Geometries) -> list[Layer]:
    """The layer with the kernel, where there is one, and without."""
    names = [str(number) for number in range(len(geometries))]
    descriptor = os.memfd_create("layer")
    try:
        write_layer(
            descriptor, "EPSG:4326", LayerFeatures(names, [{}] * len(names), geometries), ""
        )
        file = MappedFile(descriptor)
    finally:
        os.close(descriptor)
    return [Layer.open("zones", file), Layer.open("zones", file, use_kernel=False)]


def plain(shapes: Geometries, geometries: Geometries, predicate: str) -> list[tuple[int, int]]:
    test = shapely.within if predicate == "within" else shapely.intersects
    return [(i, k) for i, a in enumerate(shapes) for k, b in enumerate(geometries) if test(a, b)]


def answers(layer: Layer, shapes: Geometries, predicate: str, match: str) -> list[tuple[int, int]]:
    mine, theirs = layer.join(shapes, predicate, match)  # type: ignore[arg-type]
    return list(zip(mine.tolist(), layer.source[theirs].tolist(), strict=True))


def firsts(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return sorted(dict(reversed(pairs)).items())


@pytest.mark.parametrize("predicate", ["within", "intersects"])
@settings(max_examples=150, deadline=None)
@given(
    zones=st.lists(st.one_of(polygons, st.none()), min_size=1, max_size=8),
    points=st.lists(spots, min_size=1, max_size=12),
)
def test_points_in_polygons(
    predicate: str, zones: list[shapely.Geometry], points: list[tuple[float, float]]
) -> None:
    given_zones, shapes = objects(zones), objects([shapely.Point(spot) for spot in points])
    expected = plain(shapes, given_zones, predicate)
    for layer in both(given_zones):
        assert answers(layer, shapes, predicate, "all") == expected
        assert answers(layer, shapes, predicate, "first") == firsts(expected)


@pytest.mark.parametrize("predicate", ["within", "intersects"])
@settings(max_examples=100, deadline=None)
@given(
    zones=st.lists(
        st.one_of(polygons, lines, spots.map(shapely.Point), st.none()), min_size=1, max_size=8
    ),
    given_shapes=st.lists(
        st.one_of(polygons, lines, spots.map(shapely.Point), st.none()), min_size=1, max_size=8
    ),
)
def test_anything_in_layers_of_anything(
    predicate: str, zones: list[shapely.Geometry], given_shapes: list[shapely.Geometry]
) -> None:
    given_zones, shapes = objects(zones), objects(given_shapes)
    expected = plain(shapes, given_zones, predicate)
    for layer in both(given_zones):
        assert answers(layer, shapes, predicate, "all") == expected
        assert answers(layer, shapes, predicate, "first") == firsts(expected)


def around(geometries: Geometries, count: int, seed: int) -> Points:
    """Points at random, on vertices, on edges, and an ulp beside those."""
    rng = np.random.default_rng(seed)
    vertices, ring = shapely.get_coordinates(
        shapely.get_rings(shapely.get_parts(geometries)), return_index=True
    )
    edges = np.flatnonzero(ring[1:] == ring[:-1])
    edges = edges[rng.integers(0, len(edges), count)]
    share = rng.uniform(0, 1, (count, 1))
    on_edges = vertices[edges] * (1 - share) + vertices[edges + 1] * share
    exact = np.vstack([vertices[edges], on_edges])
    beside = [np.nextafter(exact, exact + side) for side in ([1, 0], [-1, 0], [0, 1], [0, -1])]
    anywhere = rng.uniform(vertices.min(axis=0), vertices.max(axis=0), (4 * count, 2))
    points = np.vstack([anywhere, exact, *beside])
    # An ulp beside zero GEOS's own arithmetic underflows.
    kept: Points = points[((points == 0) | (np.abs(points) > 1e-290)).all(axis=1)]
    return kept


def differences(name: str) -> int:
    geometries = layers.polygons(name)
    points = around(geometries, 150, seed=1)
    mine, theirs = shapely.STRtree(geometries).query(shapely.points(points))
    wrong = 0
    shapely.prepare(geometries)
    for layer in both(geometries):
        for predicate in ("within", "intersects"):
            test = shapely.contains_xy if predicate == "within" else shapely.intersects_xy
            holds = test(geometries[theirs], points[mine, 0], points[mine, 1])
            expected = set(zip(mine[holds].tolist(), theirs[holds].tolist(), strict=True))
            owners, found = layer.locate(points, predicate, "all")
            got = set(zip(owners.tolist(), layer.source[found].tolist(), strict=True))
            wrong += len(expected ^ got)
    return wrong


@pytest.mark.parametrize("name", [name for name in layers.GENERATED if not name.endswith("0k")])
def test_generated_layers(name: str) -> None:
    assert differences(name) == 0


@pytest.mark.samples
@pytest.mark.parametrize("name", layers.REAL)
def test_real_layers(name: str) -> None:
    if not (layers.SAMPLES / layers.REAL[name]).exists():
        pytest.skip(f"the sample {layers.REAL[name]} is not here")
    assert differences(name) == 0
