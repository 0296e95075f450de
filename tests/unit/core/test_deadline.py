"""First deadlines and isolation's share are decided from numbers alone."""

from __future__ import annotations

import random

import pytest

from geoweir.core.deadline import FEWEST, MOST, Deadlines, IsolationBudget


def test_a_stream_that_is_not_known_yet_gets_the_whole_timeout() -> None:
    deadlines = Deadlines(4.0)
    for _ in range(FEWEST - 1):
        deadlines.observe(0, 0.001)
    assert deadlines.first_pass(0) == 4.0
    deadlines.observe(0, 0.001)
    assert deadlines.first_pass(0) == 0.25


def test_the_first_deadline_is_eight_times_the_p99_within_its_bounds() -> None:
    deadlines = Deadlines(4.0)
    for _ in range(100):
        deadlines.observe(0, 0.1)
        deadlines.observe(1, 5.0)
    deadlines.observe(0, 3.0)  # one of 101 is beyond the p99
    assert deadlines.first_pass(0) == pytest.approx(0.8)
    assert deadlines.first_pass(1) == 4.0
    assert deadlines.first_pass(2) == 4.0


def test_only_the_latest_run_times_count() -> None:
    deadlines = Deadlines(4.0)
    for _ in range(MOST):
        deadlines.observe(0, 0.4)
    for _ in range(MOST):
        deadlines.observe(0, 0.05)
    assert deadlines.first_pass(0) == pytest.approx(0.4)


def test_the_p99_is_that_of_a_sorted_window() -> None:
    source, deadlines, seen = random.Random(1), Deadlines(1e9), []
    for _ in range(1000):
        seen.append(source.choice([0.1, source.random()]))
        deadlines.observe("s", seen[-1])
        window = sorted(seen[-MOST:])
        if len(window) >= FEWEST:
            rank = -(-99 * len(window) // 100)
            assert deadlines.first_pass("s") == pytest.approx(max(0.25, 8 * window[rank - 1]))


def test_misses_without_a_culprit_lengthen_the_deadline() -> None:
    deadlines = Deadlines(4.0)
    for _ in range(MOST):
        deadlines.observe(0, 0.001)
    for _ in range(3):
        deadlines.observe(0, deadlines.first_pass(0))
    assert deadlines.first_pass(0) == pytest.approx(2.0)


def test_one_input_of_a_careful_run_has_an_eighth_of_the_timeout_but_not_too_little() -> None:
    assert Deadlines(4.0).stall(0) == 0.5
    assert Deadlines(0.5).stall(0) == 0.25
    assert Deadlines(0.1).stall(0) == 0.1


def test_one_input_has_no_longer_than_a_whole_chunk_of_its_stream() -> None:
    deadlines = Deadlines(8.0)
    for _ in range(FEWEST):
        deadlines.observe("fast", 0.001)
        deadlines.observe("slow", 0.1)
    assert deadlines.stall("fast") == 0.25
    assert deadlines.stall("slow") == pytest.approx(0.8)
    assert deadlines.stall("unknown") == 1.0


def test_one_isolation_at_a_time() -> None:
    budget = IsolationBudget(2)
    assert budget.may_start(0.0)
    assert not budget.may_start(1.0)
    budget.spent(2.0, 2.0)
    assert budget.may_start(2.0)


def test_isolation_takes_at_most_its_share_of_ten_seconds() -> None:
    budget = IsolationBudget(2, share=0.25)  # five slot seconds
    assert budget.may_start(0.0)
    budget.spent(5.0, 5.0)
    assert not budget.may_start(5.0)
    assert not budget.may_start(10.0)
    assert budget.may_start(10.5)  # half a second of it is more than ten seconds ago
    budget.spent(11.0, 0.5)
    assert not budget.may_start(10.5)
    assert budget.may_start(25.0)
