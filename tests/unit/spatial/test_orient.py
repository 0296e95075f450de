"""The sign of an orientation, against exact fractions."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import example, given, settings

from geoweir.spatial.kernel.loaded import lib

pytestmark = pytest.mark.skipif(lib is None, reason="there is no kernel")

ordinates = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(-180, 180),
    st.integers(-3, 3).map(float),
    st.sampled_from([5e-324, -5e-324, 2.2e-308, 1.7976931348623157e308, -0.0, 0.1, 1e16]),
)


def true_side(ax: float, ay: float, bx: float, by: float, px: float, py: float) -> int:
    a, b, c, d, e, f = (Fraction(value) for value in (ax, ay, bx, by, px, py))
    turn = (c - a) * (f - b) - (d - b) * (e - a)
    return (turn > 0) - (turn < 0)


@settings(max_examples=2000, deadline=None)
@given(st.lists(ordinates, min_size=6, max_size=6))
@example([0.0, 5.5, 0.0, 5.71, 5e-324, 5.7])
@example([1.7e308, -1.7e308, -1.7e308, 1.7e308, 5e-324, 0.0])
@example([0.0] * 6)
def test_the_side_is_that_of_exact_arithmetic(six: list[float]) -> None:
    assert lib.gw_orient(*six) == true_side(*six)
    assert lib.gw_orient_exact(*six) == true_side(*six)


@settings(max_examples=500, deadline=None)
@given(
    st.lists(st.floats(-180, 180), min_size=4, max_size=4),
    st.floats(0, 1),
    st.integers(-2, 2),
    st.integers(-2, 2),
)
def test_also_within_ulps_of_the_line(ends: list[float], t: float, right: int, up: int) -> None:
    ax, ay, bx, by = ends
    px, py = ax + (bx - ax) * t, ay + (by - ay) * t
    px, py = px + right * float(np.spacing(px)), py + up * float(np.spacing(py))
    assert lib.gw_orient(ax, ay, bx, by, px, py) == true_side(ax, ay, bx, by, px, py)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("place", range(6))
def test_what_is_not_finite_has_no_side(value: float, place: int) -> None:
    six: list[Any] = [0.0, 0.0, 1.0, 1.0, 0.0, 1.0]
    six[place] = value
    assert lib.gw_orient(*six) == 0
