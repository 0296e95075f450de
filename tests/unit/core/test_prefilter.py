from __future__ import annotations

import math

import pytest

from geoweir.core.prefilter import Prefilter
from geoweir.core.spec import PrefilterSpec

NOW = 1_750_000_000.0
EUROPE = PrefilterSpec(bbox=(-10, 35, 30, 70))
PACIFIC = PrefilterSpec(bbox=(170, -10, -160, 10))


def place(spec: PrefilterSpec, x: float, y: float, *, geographic: bool = True) -> str | None:
    return Prefilter(spec, 9, geographic=geographic).decide(("a", x, y, None, None), now=NOW)


@pytest.mark.parametrize("x", [-10, 30, 0, 360, -345, 720])
def test_a_point_in_the_box_goes_on_in_whatever_turn_its_longitude_is(x: float) -> None:
    assert place(EUROPE, x, 50) is None


@pytest.mark.parametrize(
    ("x", "y"), [(-10.000001, 50), (30.000001, 50), (180, 50), (0, 34.99), (0, 70.01)]
)
def test_a_point_outside_the_box_is_dropped(x: float, y: float) -> None:
    assert place(EUROPE, x, y) == "bbox"


@pytest.mark.parametrize("x", [170, 180, -180, -160, 190, 200, -190])
def test_a_box_across_the_antimeridian_keeps_both_sides(x: float) -> None:
    assert place(PACIFIC, x, 0) is None


@pytest.mark.parametrize("x", [169.999, -159.999, 0, 201, 360])
def test_a_box_across_the_antimeridian_drops_the_rest_of_the_world(x: float) -> None:
    assert place(PACIFIC, x, 0) == "bbox"


def test_metres_have_no_turns() -> None:
    spec = PrefilterSpec(bbox=(0, 0, 100, 100))

    assert place(spec, 410, 50, geographic=False) == "bbox"
    assert place(spec, 100, 100, geographic=False) is None


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_t11_what_the_worker_must_refuse_is_never_dropped(bad: float) -> None:
    spec = PrefilterSpec(bbox=(0, 0, 1, 1), z=(0, 1), max_age_s=1, min_interval_s=100)
    gate = Prefilter(spec, 9)

    for x, y, z in ((bad, 9, None), (9, bad, None), (9, 9, bad)):
        assert gate.decide(("a", x, y, z, 0.0), now=NOW) is None


@pytest.mark.parametrize(
    ("z", "reason"), [(0, None), (10, None), (None, None), (-0.1, "z"), (10.1, "z")]
)
def test_a_height_out_of_range_is_dropped_and_none_at_all_is_not(
    z: float | None, reason: str | None
) -> None:
    gate = Prefilter(PrefilterSpec(z=(0, 10)), 9)

    assert gate.decide(("a", 0, 0, z, None), now=NOW) == reason


def test_an_old_fix_is_dropped() -> None:
    gate = Prefilter(PrefilterSpec(max_age_s=60), 9)

    assert gate.decide(("a", 0, 0, None, NOW - 60), now=NOW) is None
    assert gate.decide(("a", 0, 0, None, NOW - 61), now=NOW) == "age"
    assert gate.decide(("a", 0, 0, None, None), now=NOW) is None


def test_t14_a_clock_at_1970_drops_nothing_by_age() -> None:
    gate = Prefilter(PrefilterSpec(max_age_s=60), 9)

    assert gate.decide(("a", 0, 0, None, 946_684_800.0), now=1_704_067_199.0) is None


def test_the_interval_counts_fix_times_and_else_arrivals_per_id() -> None:
    gate = Prefilter(PrefilterSpec(min_interval_s=10), 9)

    fixes = [("a", NOW), ("a", NOW + 9), ("b", NOW + 9), ("a", NOW + 10), ("a", NOW + 5)]
    arrivals = [(NOW, None), (NOW + 9.9, "interval"), (NOW + 10, None)]

    assert [gate.decide((i, 0, 0, None, t), now=NOW) for i, t in fixes] == [
        None, "interval", None, None, None,
    ]  # fmt: skip
    for now, reason in arrivals:
        assert gate.decide(("c", 0, 0, None, None), now=now) == reason


def test_what_is_dropped_does_not_count_for_the_interval() -> None:
    gate = Prefilter(PrefilterSpec(bbox=(0, 0, 1, 1), min_interval_s=10), 9)

    assert gate.decide(("a", 9, 9, None, NOW), now=NOW) == "bbox"
    assert gate.decide(("a", 0, 0, None, NOW + 1), now=NOW) is None
    assert gate.decide(("a", 0, 0, None, NOW + 9), now=NOW) == "interval"
    assert gate.decide(("a", 0, 0, None, NOW + 11), now=NOW) is None


def test_t13_one_future_fix_does_not_silence_its_id() -> None:
    gate = Prefilter(PrefilterSpec(min_interval_s=10), 9)
    gate.decide(("a", 0, 0, None, NOW + 290), now=NOW)

    assert gate.decide(("a", 0, 0, None, NOW + 1), now=NOW) is None
    assert gate.decide(("a", 0, 0, None, NOW + 2), now=NOW) == "interval"


def test_t18_the_longest_silent_id_is_forgotten_first_and_counted() -> None:
    gate = Prefilter(PrefilterSpec(min_interval_s=10), 2)
    for offset, ident in enumerate(("a", "b")):
        gate.decide((ident, 0, 0, None, NOW + offset), now=NOW)
    gate.decide(("a", 0, 0, None, NOW + 10), now=NOW)
    gate.decide(("c", 0, 0, None, NOW + 10), now=NOW)

    assert gate.evicted == 1
    assert gate.decide(("a", 0, 0, None, NOW + 11), now=NOW) == "interval"
    assert gate.decide(("b", 0, 0, None, NOW + 2), now=NOW) is None


def test_inputs_that_come_again_after_a_reopened_lane_go_on() -> None:
    gate = Prefilter(PrefilterSpec(min_interval_s=10), 9)
    gate.decide(("a", 0, 0, None, NOW), now=NOW)
    gate.forget()

    assert gate.decide(("a", 0, 0, None, NOW), now=NOW) is None


@pytest.mark.parametrize(
    ("box", "outside"),
    [
        ((160, 0, 170, 1), False),
        ((-160, 0, -150, 1), False),
        ((160, 0, 169.9, 1), True),
        ((-159.9, 0, 160, 1), True),
        ((-179, 0, 179, 1), False),
        ((175, 10.1, 176, 11), True),
        ((175, 10, 176, 11), False),
        ((math.nan,) * 4, False),
        ((0, math.nan, 0, math.nan), False),
    ],
)
def test_a_box_of_vertices_is_outside_only_when_it_surely_misses(
    box: tuple[float, float, float, float],
    outside: bool,
) -> None:
    assert Prefilter(PACIFIC, 9).box_outside(*box) is outside
    assert Prefilter(PrefilterSpec(), 9).box_outside(*box) is False
