from geoweir.core.repeats import Repeats


def test_an_input_in_flight_and_one_that_came_home_are_known() -> None:
    repeats = Repeats(10.0, 100)
    assert not repeats.is_repeat("a", 0.0)
    assert repeats.is_repeat("a", 1.0)
    repeats.settled("a", 2.0, is_done=True)
    assert repeats.is_repeat("a", 11.9)
    assert not repeats.is_repeat("b", 11.9)


def test_the_window_begins_with_the_outcome_and_repeats_do_not_lengthen_it() -> None:
    repeats = Repeats(10.0, 100)
    repeats.is_repeat("a", 0.0)
    repeats.settled("a", 5.0, is_done=True)
    assert repeats.is_repeat("a", 14.0)
    assert not repeats.is_repeat("a", 15.0)


def test_what_was_dropped_may_come_again() -> None:
    repeats = Repeats(10.0, 100)
    repeats.is_repeat("a", 0.0)
    repeats.settled("a", 1.0, is_done=False)
    assert not repeats.is_repeat("a", 2.0)


def test_what_was_voided_comes_again_and_is_no_repeat() -> None:
    repeats = Repeats(10.0, 100)
    repeats.is_repeat("home", 0.0)
    repeats.settled("home", 0.0, is_done=True)
    repeats.is_repeat("away", 0.0)
    repeats.voided()
    assert not repeats.is_repeat("away", 1.0)
    assert repeats.is_repeat("home", 1.0)


def test_the_memory_is_bounded_and_forgets_the_oldest() -> None:
    repeats = Repeats(1e9, 3)
    for name in "abcde":
        repeats.is_repeat(name, 0.0)
        repeats.settled(name, 0.0, is_done=True)
    assert (len(repeats), repeats.evicted) == (3, 2)
    assert repeats.is_repeat("c", 0.0)
    assert not repeats.is_repeat("b", 0.0)
