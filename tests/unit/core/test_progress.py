from geoweir.core.progress import Progress, patience


def look_on(progress: Progress, begin: int, end: int, *, is_stuck: bool = False) -> bool:
    """Looks once a second, while five inputs wait and nothing moves."""
    ok = True
    for second in range(begin, end + 1):
        ok = progress.look(float(second), waiting=5, is_outside=False, mark=1, is_stuck=is_stuck)
    return ok


def test_patience_outlasts_a_first_pass_and_an_isolation() -> None:
    assert patience(4.0) == 18.0
    assert patience(0.05) > 2.0


def test_where_nothing_waits_there_is_progress() -> None:
    progress = Progress(10.0, now=0.0)

    assert all(progress.look(float(s), waiting=0, is_outside=False, mark=1) for s in range(100))


def test_an_input_after_a_long_silence_has_all_the_time() -> None:
    progress = Progress(10.0, now=0.0)
    progress.look(1000.0, waiting=0, is_outside=False, mark=1)

    assert look_on(progress, 1001, 1009)
    assert not look_on(progress, 1010, 1010)
    assert progress.silent_s == 10.0


def test_a_step_forward_gives_new_time() -> None:
    progress = Progress(10.0, now=0.0)
    look_on(progress, 1, 9)
    progress.look(10.0, waiting=5, is_outside=False, mark=2)
    progress.look(10.5, waiting=5, is_outside=False, mark=1)

    assert look_on(progress, 11, 20)


def test_an_outage_counts_for_nothing_and_its_end_gives_new_time() -> None:
    progress = Progress(10.0, now=0.0)

    assert progress.look(3600.0, waiting=5, is_outside=True, mark=1)
    assert look_on(progress, 3601, 3609)
    assert not look_on(progress, 3610, 3610)


def test_what_is_known_to_be_stuck_has_less_time_but_some() -> None:
    progress = Progress(10.0, now=0.0)
    progress.look(0.0, waiting=5, is_outside=False, mark=1)

    assert look_on(progress, 1, 2, is_stuck=True)
    assert not look_on(progress, 3, 3, is_stuck=True)


def test_time_in_which_nobody_looked_counts_little() -> None:
    progress = Progress(10.0, now=0.0)
    progress.look(0.0, waiting=5, is_outside=False, mark=1)

    assert progress.look(600.0, waiting=5, is_outside=False, mark=1)
    assert progress.silent_s == 2.0
