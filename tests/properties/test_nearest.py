"""The nearest segment is the one that brute force finds, wherever it is."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
import shapely
from hypothesis import given, settings

from geoweir.spatial.ragged import Ragged
from geoweir.spatial.segments import SegmentIndex, build
from support.features import objects
from support.geodesics import nearest_by_brute_force

TOLERANCE = 0.001  # metres

offsets = st.floats(-0.3, 0.3).map(lambda value: round(value, 4))
places = st.tuples(offsets, offsets)
chains = st.lists(places, min_size=1, max_size=6)
origins = st.tuples(
    st.sampled_from([-179.9, -30.0, 0.0, 12.3, 179.95]),
    st.sampled_from([-89.5, -61.0, -0.1, 0.0, 33.3, 70.0, 84.0, 89.6]),
)


@settings(max_examples=120, deadline=None)
@given(origin=origins, layer=st.lists(chains, min_size=1, max_size=6), point=places)
def test_distance_and_feature_are_those_of_brute_force(
    origin: tuple[float, float],
    layer: list[list[tuple[float, float]]],
    point: tuple[float, float],
) -> None:
    shapes = [np.array(chain) + origin for chain in layer]
    geometries = objects(
        [
            shapely.LineString(shape) if len(shape) > 1 else shapely.Point(shape[0])
            for shape in shapes
        ]
    )
    ragged = Ragged.from_shapely(geometries)
    index = SegmentIndex.of(build(ragged, "EPSG:4326"), ragged, "EPSG:4326")
    asked = np.array([point]) + origin
    metres, features = nearest_by_brute_force(geometries, asked[0])
    for rows in (index.nearest(asked, 90_000), index.without_kernel(asked, 90_000)):
        assert rows["distance"][0] == pytest.approx(metres, abs=TOLERANCE)
        assert rows["feature"][0] in features
