"""Time is shared: what must be measured always is, the rest while there is time."""

from __future__ import annotations

import pytest

from geoweir.sizing.budget import Budget


def test_the_time_is_shared_evenly_less_what_starting_costs() -> None:
    budget = Budget(60.0, 100.0, needed=2, optional=8)
    assert budget.needed_s(100.0) == pytest.approx(60 / 10 - 2.5)
    assert budget.optional_s(106.0) == pytest.approx(54 / 9 - 2.5)


def test_a_measurement_is_neither_too_short_nor_too_long() -> None:
    assert Budget(5.0, 0.0, needed=3, optional=9).needed_s(0.0) == 1.0
    assert Budget(600.0, 0.0, needed=1, optional=0).needed_s(0.0) == 8.0


def test_optional_ones_are_left_out_when_the_needed_ones_want_the_time() -> None:
    budget = Budget(10.0, 0.0, needed=2, optional=3)
    assert budget.room(0.0) == 0
    assert budget.optional_s(0.0) is None
    assert budget.needed_s(9.0) == 1.0


def test_what_will_not_be_measured_leaves_its_time_to_others() -> None:
    budget = Budget(40.0, 0.0, needed=1, optional=9)
    budget.give_up(5)
    assert budget.optional_s(0.0) == pytest.approx(40 / 5 - 2.5)


def test_what_starting_really_costs_is_learnt() -> None:
    budget = Budget(100.0, 0.0, needed=1, optional=0)
    for _ in range(20):
        budget.took(12.0, 2.0)
    assert budget.room(0.0) == int(100 / 11) - 1


@pytest.mark.parametrize(("now", "fraction"), [(0.0, 0.0), (5.0, 0.5), (99.0, 1.0)])
def test_the_fraction_never_leaves_its_bounds(now: float, fraction: float) -> None:
    assert Budget(10.0, 0.0, needed=1, optional=0).fraction(now) == fraction
