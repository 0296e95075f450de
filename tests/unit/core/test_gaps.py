"""The rule of sequence gaps, sentence by sentence, and against a slow model."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from geoweir.core.gaps import MOST_OPEN, Found, Gaps


def run(gaps: Gaps, *numbers: int, now: float = 0.0, again: bool = False) -> list[Found]:
    return [found for n in numbers for found in gaps.see("a", n, now, again=again)]


def test_numbers_without_a_hole_have_no_gap_and_the_first_says_nothing() -> None:
    gaps = Gaps(10)
    assert run(gaps, *range(500, 700)) == []
    assert gaps.overdue(1e9) == []
    assert (gaps.gaps, gaps.missing, gaps.restarts) == (0, 0, 0)


def test_what_does_not_come_in_time_is_one_gap() -> None:
    gaps = Gaps(10, patience_s=10)
    assert run(gaps, 1, 2, 6, now=100.0) == []
    assert gaps.overdue(109.9) == []
    assert gaps.overdue(110.0) == [Found("a", 3, 5)]
    assert (gaps.gaps, gaps.missing) == (1, 3)
    assert gaps.overdue(1e9) == []


def test_a_late_number_is_not_missing_and_leaves_the_rest() -> None:
    gaps = Gaps(10)
    run(gaps, 1, 6, 4, 2)
    assert gaps.overdue(1e9) == [Found("a", 3, 3), Found("a", 5, 5)]
    assert run(gaps, 3, 5) == []  # too late: they stay counted
    assert gaps.missing == 2


def test_a_gap_is_counted_when_the_numbers_have_gone_on() -> None:
    gaps = Gaps(10)
    assert run(gaps, 1, *range(5, 69)) == []
    assert run(gaps, 69, 70) == [Found("a", 2, 4)]


def test_a_gap_of_many_thousands_is_one() -> None:
    gaps = Gaps(10)
    run(gaps, 1, 900_000)
    assert gaps.overdue(1e9) == [Found("a", 2, 899_999)]


def test_no_more_gaps_are_open_than_may_be() -> None:
    gaps = Gaps(10)
    numbers = range(0, 2 * (MOST_OPEN + 2), 2)
    assert run(gaps, *numbers) == [Found("a", 1, 1)]


def test_repeats_are_no_gap() -> None:
    gaps = Gaps(10)
    assert run(gaps, *range(1, 100), *range(50, 100), 100) == []
    assert gaps.restarts == 0


def test_a_device_that_counts_anew_is_a_restart() -> None:
    gaps = Gaps(10)
    run(gaps, *range(1000), 1005)
    assert run(gaps, 0, 1, 2) == [Found("a", 1000, 1004)]
    assert gaps.restarts == 1
    run(gaps, 4)
    assert gaps.overdue(1e9) == [Found("a", 3, 3)]
    run(gaps, 5_000_000)
    assert gaps.restarts == 2
    assert gaps.overdue(1e9) == []


def test_what_is_sent_again_is_neither_gap_nor_restart() -> None:
    gaps = Gaps(10)
    run(gaps, *range(1000))
    assert run(gaps, *range(300, 1000), again=True) == []
    gaps.came_back()
    assert run(gaps, *range(100, 1100)) == []  # without the mark
    assert gaps.overdue(1e9) == []
    assert gaps.restarts == 0
    run(gaps, 100)  # the id has passed its last number since
    assert gaps.restarts == 1


def test_gaps_go_on_after_a_restart_of_ours() -> None:
    before = Gaps(10, is_saved=True)
    run(before, *range(100), 103)
    after = Gaps(10, patience_s=10)
    after.restore(before.take_changed(), now=50.0)
    assert run(after, *range(90, 100), 101, 103, now=50.0) == []  # sent again, and one was late
    assert run(after, 110, now=50.0) == []
    assert after.overdue(60.0) == [
        Found("a", 100, 100),
        Found("a", 102, 102),
        Found("a", 104, 109),
    ]
    assert before.take_changed() == []


def test_t18_ids_are_bounded_and_the_one_heard_of_longest_ago_goes() -> None:
    gaps = Gaps(2, is_saved=True)
    gaps.see("a", 1, 0.0)
    gaps.see("b", 1, 0.0)
    gaps.see("a", 5, 0.0)
    assert gaps.see("c", 1, 0.0) == []
    assert gaps.see("d", 1, 0.0) == [Found("a", 2, 4)]
    assert (len(gaps), gaps.evicted) == (2, 2)
    assert {track.id for track in gaps.take_changed()} == {"c", "d"}
    assert gaps.take_gone() == {"a", "b"}


@given(st.sets(st.integers(0, 50), max_size=MOST_OPEN - 5), st.randoms(use_true_random=False))
def test_in_whatever_order_they_come_exactly_what_is_missing_is_counted(
    lost: set[int], dice: Random
) -> None:
    numbers = [n for n in range(51) if n not in lost]
    gaps = Gaps(10)
    gaps.see("a", -1, 0.0)
    for start in range(0, len(numbers), 5):  # so that never more gaps are open than may be
        piece = numbers[start : start + 5]
        dice.shuffle(piece)
        for number in piece:
            gaps.see("a", number, 0.0)
    gaps.see("a", 51, 0.0)
    found = {n for one in gaps.overdue(1e9) for n in range(one.first, one.last + 1)}
    assert found == lost
    assert gaps.missing == len(lost)
