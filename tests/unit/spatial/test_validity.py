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
    ring = shapely.Polygon(np.random.default_rng(1).random((500, 2)))
    assert too_complex(ring, 501) is None
    refusal = too_complex(ring, 500)
    assert refusal == "too complex to repair: 501 vertices, at most 500 are allowed"
