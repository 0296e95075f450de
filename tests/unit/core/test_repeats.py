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


def test_t18_the_memory_is_bounded_and_forgets_the_oldest() -> None:
    repeats = Repeats(1e9, 3)
    for name in "abcde":
        repeats.is_repeat(name, 0.0)
        repeats.settled(name, 0.0, is_done=True)
    assert (len(repeats), repeats.evicted) == (3, 2)
    assert repeats.is_repeat("c", 0.0)
    assert not repeats.is_repeat("b", 0.0)


def test_what_was_remembered_is_known_after_a_restart_for_the_rest_of_the_window() -> None:
    before = Repeats(10.0, 100, is_saved=True)
    for name in ("a", "b"):
        before.is_repeat(name, 0.0)
        before.settled(name, 0.0, is_done=True)
    before.is_repeat("flying", 0.0)
    new, gone = before.take_changed()
    assert (new, gone) == ({"a", "b"}, set())
    after = Repeats(10.0, 100, is_saved=True)
    after.restore([("old", 11.0), ("a", 6.0), ("b", 0.0)], now=1000.0)
    assert not after.is_repeat("flying", 1000.0)
    assert not after.is_repeat("old", 1000.0)
    assert after.is_repeat("a", 1003.9)
    assert after.is_repeat("b", 1004.1)
    assert not after.is_repeat("a", 1004.1)
    assert after.take_changed() == (set(), {"old", "a"})


def test_what_is_saved_is_what_is_remembered_at_the_bound_too() -> None:
    repeats = Repeats(10.0, 2, is_saved=True)
    for name in ("a", "b", "c", "a"):
        repeats.settled(name, 0.0, is_done=True)
    assert repeats.take_changed() == ({"a", "c"}, {"b"})
    assert repeats.take_changed() == (set(), set())


def test_where_nobody_saves_no_changes_pile_up() -> None:
    repeats = Repeats(0.5, 2)
    for n in range(10):
        repeats.settled(str(n), float(n), is_done=True)
    assert repeats.take_changed() == (set(), set())
