from hypothesis import given
from hypothesis import strategies as st

from geoweir.telemetry.histogram import Histogram


def test_a_value_on_a_bound_belongs_to_the_bucket_below() -> None:
    histogram = Histogram((1.0, 2.0))

    histogram.observe(1.0)

    assert histogram.cumulative() == [(1.0, 1), (2.0, 1), (float("inf"), 1)]


def test_values_above_every_bound_are_counted_under_infinity() -> None:
    histogram = Histogram((1.0,))

    histogram.observe(7.0, 3)

    assert histogram.cumulative() == [(1.0, 0), (float("inf"), 3)]


@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(1, 500))))
def test_n_observations_at_once_equal_n_single_ones(rows: list[tuple[int, int]]) -> None:
    at_once, one_by_one = Histogram((1, 10, 1000)), Histogram((1, 10, 1000))

    for value, n in rows:
        at_once.observe(value, n)
        for _ in range(n if n < 20 else 0):
            one_by_one.observe(value)
        if n >= 20:
            one_by_one.observe(value, n)

    assert at_once.cumulative() == one_by_one.cumulative()
    assert at_once.count == sum(n for _, n in rows)
    assert at_once.sum == sum(value * n for value, n in rows)
