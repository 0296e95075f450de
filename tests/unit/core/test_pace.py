from __future__ import annotations

import math

import pytest

from geoweir.core.pace import Pace


def pace(*, workers: int = 2, chunk: int = 128, smallest_chunk: int = 32) -> Pace:
    return Pace(workers=workers, chunk=chunk, smallest_chunk=smallest_chunk, timeout_s=4.0)


def busy_share(paced: Pace, *, workers: int, run_s: float, seconds: float = 100.0) -> float:
    """The share of the slots' time in use, where there is always a chunk that could begin."""
    now, busy_s = 0.0, 0.0
    ends: list[float] = []
    while now < seconds:
        wait_s = paced.wait_s(now, len(ends)) if len(ends) < workers else math.inf
        if wait_s == 0.0:
            ends.append(now + run_s)
            continue
        now = min([now + wait_s, *ends])
        for end in [end for end in ends if end <= now]:
            ends.remove(end)
            paced.spent(now, run_s)
            busy_s += run_s
    return busy_s / seconds / workers


@pytest.mark.parametrize("workers", [1, 2, 3, 4])
@pytest.mark.parametrize("duty", [0.105, 0.25, 0.419, 0.5, 0.7, 0.93])
@pytest.mark.parametrize("run_s", [0.001, 0.02, 0.3])
def test_the_share_is_kept_to(workers: int, duty: float, run_s: float) -> None:
    paced = pace(workers=workers)
    paced.turn(0.0, duty)
    assert busy_share(paced, workers=workers, run_s=run_s) == pytest.approx(duty, rel=0.03)


def test_at_full_duty_nothing_waits() -> None:
    paced = pace()
    paced.spent(1.0, 100.0)
    assert paced.wait_s(1.0, 7) == 0.0


def test_a_share_that_fewer_slots_can_do_leaves_slots_out() -> None:
    paced = pace(workers=4)
    paced.turn(0.0, 0.5)
    assert [paced.wait_s(0.0, running) for running in range(4)] == [0.0, 0.0, math.inf, math.inf]


def test_time_that_nobody_used_is_not_made_up_for() -> None:
    paced = pace(workers=1)
    paced.turn(0.0, 0.5)
    assert paced.wait_s(1000.0, 0) == 0.0
    paced.spent(1001.0, 1.0)
    assert paced.wait_s(1001.0, 0) == pytest.approx(1.0)


def test_a_pause_has_a_bound() -> None:
    paced = pace(workers=1)
    paced.turn(0.0, 0.1)
    for second in range(100):
        paced.spent(float(second), 60.0)
    assert paced.wait_s(99.0, 0) == pytest.approx(5.0)


def test_full_duty_ends_a_pause() -> None:
    paced = pace(workers=1)
    paced.turn(0.0, 0.1)
    paced.spent(1.0, 1.0)
    assert paced.wait_s(1.0, 0) > 0.0
    paced.turn(1.0, 1.0)
    assert paced.wait_s(1.0, 0) == 0.0


def test_a_chunk_with_its_pause_takes_an_eighth_of_the_deadline() -> None:
    paced = pace()
    assert paced.observe("slow", 100, 1.0) == 128  # full work: as configured
    paced.turn(0.0, 0.8)
    assert paced.limit("slow") == 40  # 0.8 of 0.5 s, at 10 ms a feature
    assert paced.limit("other") == 128


def test_quick_chunks_stay_whole_however_hot_it_is() -> None:
    paced = pace()
    paced.turn(0.0, 0.105)
    assert paced.observe("quick", 128, 0.002) == 128


def test_no_chunk_is_made_smaller_than_the_smallest_nor_larger_than_the_largest() -> None:
    paced = pace()
    paced.turn(0.0, 0.2)
    assert paced.observe("s", 1, 3.0) == 32
    small = pace(chunk=8, smallest_chunk=32)
    small.turn(0.0, 0.2)
    assert small.observe("s", 1, 3.0) == 8


def test_the_chunk_follows_the_time_that_features_take() -> None:
    paced = pace()
    paced.turn(0.0, 0.5)
    for _ in range(30):
        paced.observe("s", 100, 0.4)
    assert paced.limit("s") == 62
    for _ in range(30):
        paced.observe("s", 62, 0.1)
    assert paced.limit("s") == 128
