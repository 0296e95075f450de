"""Restarts are immediate until workers keep dying."""

from __future__ import annotations

from geoweir.pool.backoff import LONGEST_S, SHORTEST_S, Backoff


def test_single_deaths_cost_no_time() -> None:
    backoff = Backoff()
    assert [backoff.died(10.0 * step, was_ready=True) for step in range(10)] == [0.0] * 10


def test_from_the_fifth_death_in_ten_seconds_the_delay_doubles() -> None:
    backoff = Backoff()
    delays = [backoff.died(0.1 * step, was_ready=True) for step in range(20)]
    assert delays[:4] == [0.0] * 4
    assert delays[4:7] == [SHORTEST_S, 2 * SHORTEST_S, 4 * SHORTEST_S]
    assert delays[-1] == LONGEST_S
    assert backoff.died(60.0, was_ready=True) == 0.0


def test_a_death_before_ready_always_costs_time_until_one_is_ready() -> None:
    backoff = Backoff()
    delays = [backoff.died(100.0 * step, was_ready=False) for step in range(12)]
    assert delays[:2] == [SHORTEST_S, 2 * SHORTEST_S]
    assert delays[-1] == LONGEST_S
    backoff.ready()
    assert backoff.died(2000.0, was_ready=True) == 0.0
