from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import shapely

from geoweir.spatial.compiling.clean import Cleaner, Finding, Repair
from geoweir.spatial.ragged import Ragged
from support.features import objects

WORLD = "EPSG:4326"
BOWTIE = shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])


def cleaned(
    *geometries: shapely.Geometry | None,
    source: str = WORLD,
    target: str = WORLD,
    repair: Repair = "structure",
) -> tuple[list[Any], list[Finding]]:
    ragged, found = Cleaner(source, target, repair).clean(objects(list(geometries)))
    assert isinstance(ragged, Ragged)
    return list(ragged.to_shapely(np.arange(len(ragged)))), found


def test_what_is_sound_stays_as_it_is_without_its_heights() -> None:
    (point, area, nothing), found = cleaned(shapely.Point(1, 2, 3), shapely.box(0, 0, 1, 1), None)
    assert found == []
    assert shapely.equals_exact(point, shapely.Point(1, 2))
    assert shapely.equals_exact(area, shapely.box(0, 0, 1, 1))
    assert nothing is None


@pytest.mark.parametrize("repair", ["structure", "linework"])
def test_the_invalid_is_repaired_and_named_with_the_reason(repair: Repair) -> None:
    (area,), found = cleaned(BOWTIE, repair=repair)
    assert area.is_valid
    assert area.area == pytest.approx(2)
    assert [(one.position, one.kind) for one in found] == [(0, "repaired")]
    assert "Self-intersection" in found[0].reason


def test_without_repair_the_invalid_is_refused() -> None:
    (area,), found = cleaned(BOWTIE, repair="none")
    assert area is None
    assert found[0].kind == "refused"
    assert "Self-intersection" in found[0].reason


def test_what_a_repair_leaves_of_a_lower_dimension_is_not_kept() -> None:
    spike = shapely.Polygon([(0, 0), (4, 0), (4, 4), (0, 4), (0, 0), (-3, -3), (0, 0)])
    (area,), _ = cleaned(spike, repair="linework")
    assert shapely.get_dimensions(area) == 2
    (nothing,), found = cleaned(shapely.Polygon([(0, 0), (1, 1), (2, 2), (0, 0)]))
    assert nothing is None
    assert [one.kind for one in found] == ["refused"]


def test_parts_of_a_lower_dimension_are_stripped_and_counted() -> None:
    mixed = shapely.GeometryCollection(
        [
            shapely.Point(9, 9),
            shapely.GeometryCollection(
                [shapely.box(0, 0, 1, 1), shapely.LineString([(5, 5), (6, 6)])]
            ),
            shapely.box(2, 2, 3, 3),
        ]
    )
    (area,), found = cleaned(mixed)
    wanted = shapely.MultiPolygon([shapely.box(0, 0, 1, 1), shapely.box(2, 2, 3, 3)])
    assert area.equals(wanted)
    assert [(one.kind, one.reason) for one in found] == [
        ("stripped", "2 parts of another dimension left out")
    ]


def test_an_empty_geometry_is_a_feature_without_one() -> None:
    assert cleaned(shapely.Polygon(), shapely.GeometryCollection()) == ([None, None], [])


def test_what_is_not_finite_is_refused_by_feature() -> None:
    found = cleaned(shapely.Point(math.nan, 1), shapely.Point(1, 1), shapely.Point(1, math.inf))[1]
    assert [(one.position, one.kind) for one in found] == [(0, "refused"), (2, "refused")]


def test_longitudes_beyond_180_are_cut_there_and_shifted() -> None:
    (area, line, point, points), found = cleaned(
        shapely.box(170, 0, 190, 10),
        shapely.LineString([(-170, 5), (-190, 5)]),
        shapely.Point(190, 5),
        shapely.MultiPoint([(179, 1), (-181, 2)]),
    )
    wanted = shapely.MultiPolygon([shapely.box(170, 0, 180, 10), shapely.box(-180, 0, -170, 10)])
    assert area.equals(wanted)
    assert line.equals(shapely.MultiLineString([[(-180, 5), (-170, 5)], [(170, 5), (180, 5)]]))
    assert shapely.equals_exact(point, shapely.Point(-170, 5))
    assert points.equals(shapely.MultiPoint([(179, 1), (179, 2)]))
    assert [one.kind for one in found] == ["cut"] * 4


def test_a_shape_on_the_edge_of_the_map_is_not_cut() -> None:
    whole = shapely.box(-180, -90, 180, 90)
    assert cleaned(whole, shapely.Point(180, 0)) == ([whole, shapely.Point(180, 0)], [])


def test_what_cannot_be_degrees_is_refused() -> None:
    _, found = cleaned(shapely.Point(500000, 5500000), shapely.Point(10, 91))
    assert [one.kind for one in found] == ["refused", "refused"]
    assert "are no longitudes and latitudes" in found[0].reason


def test_an_edge_the_long_way_round_is_pointed_out() -> None:
    across = shapely.Polygon([(179, 0), (-179, 0), (-179, 1), (179, 1)])
    holed = shapely.box(-179, 0, 179, 9).segmentize(90).difference(shapely.box(-1, 1, 1, 2))
    found = cleaned(across, holed, shapely.MultiPoint([(-179, 0), (179, 0)]))[1]
    assert [(one.position, one.kind) for one in found] == [(0, "noted")]


def test_coordinates_are_reprojected_and_what_has_no_image_is_refused() -> None:
    (point, nothing), found = cleaned(
        shapely.Point(9, 49.65), shapely.Point(-120, 40), target="EPSG:25832"
    )
    assert (point.x, point.y) == pytest.approx((500000, 5500000), abs=1000)
    assert nothing is None
    assert "outside the area of use of EPSG:25832" in found[0].reason
