from __future__ import annotations

import numpy as np
import pytest
import shapely

from geoweir.spatial.validity import Method, check, repair, too_complex
from support.features import objects

BOWTIE = "POLYGON ((0 0, 1 1, 1 0, 0 1, 0 0))"


def test_the_reason_and_where_are_given_for_the_invalid_ones_only() -> None:
    given = objects(["POINT (0 0)", BOWTIE, None, "POLYGON EMPTY"])
    assert check(given) == [None, "Self-intersection[0.5 0.5]", None, None]


@pytest.mark.parametrize("method", ["structure", "linework"])
def test_a_repair_is_valid(method: Method) -> None:
    repaired = repair(shapely.from_wkt(BOWTIE), method)
    assert repaired is not None
    assert shapely.is_valid(repaired)
    assert shapely.area(repaired) > 0


def test_t02_more_vertices_than_may_be_repaired_are_too_complex() -> None:
    ring = shapely.box(0, 0, 1, 1).buffer(1).segmentize(0.02)
    count = int(shapely.get_num_coordinates(ring))
    assert too_complex(ring, count, "structure") is None
    refusal = too_complex(ring, count - 1, "structure")
    assert refusal == f"too complex to repair: {count} vertices, at most {count - 1} are allowed"


@pytest.mark.parametrize(("method", "few", "many"), [("structure", 100, 120), ("linework", 33, 41)])
def test_t02_a_small_ring_that_crosses_itself_everywhere_is_too_complex(
    method: Method, few: int, many: int
) -> None:
    assert too_complex(star(few), 500, method) is None
    assert "its segments cross at over" in str(too_complex(star(many), 500, method))


def star(vertices: int) -> shapely.Polygon:
    """Every segment crosses nearly every other."""
    step = vertices // 2 - 1 + vertices % 2
    turns = 2 * np.pi * (step * np.arange(vertices) % vertices) / vertices
    return shapely.Polygon(np.column_stack([np.cos(turns), np.sin(turns)]))
