from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from geoweir.core.sequence import Resequencer


@given(st.permutations(range(8)))
def test_things_leave_in_the_order_they_were_started(order: list[int]) -> None:
    sequence: Resequencer[int] = Resequencer()
    for _ in order:
        sequence.start()
    left = [thing for number in order for thing in sequence.finish(number, number)]
    assert left == sorted(order)
    assert len(sequence) == 0


def test_a_number_finishes_once() -> None:
    sequence: Resequencer[str] = Resequencer()
    number = sequence.start()
    sequence.finish(number, "a")
    with pytest.raises(ValueError, match="finished already"):
        sequence.finish(number, "b")


def test_a_number_that_was_not_started_is_refused() -> None:
    with pytest.raises(ValueError, match="not started"):
        Resequencer[str]().finish(0, "a")
