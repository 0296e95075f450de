from geoweir.core.progress import Progress, patience


def test_patience_outlasts_a_first_pass_and_an_isolation() -> None:
    assert patience(4.0) == 18.0
    assert patience(0.05) > 2.0


def test_where_nothing_waits_there_is_progress() -> None:
    progress = Progress(10.0, now=0.0)

    assert progress.look(1000.0, waiting=0, is_outside=False, mark=1)


def test_an_input_after_a_long_silence_has_all_the_time() -> None:
    progress = Progress(10.0, now=0.0)
    progress.look(1000.0, waiting=0, is_outside=False, mark=1)

    assert progress.look(1009.0, waiting=1, is_outside=False, mark=1)
    assert not progress.look(1010.0, waiting=1, is_outside=False, mark=1)
    assert progress.silent_s == 10.0


def test_a_step_forward_gives_new_time() -> None:
    progress = Progress(10.0, now=0.0)
    progress.look(9.0, waiting=5, is_outside=False, mark=2)

    assert progress.look(18.0, waiting=5, is_outside=False, mark=2)


def test_an_outage_counts_for_nothing_and_its_end_gives_new_time() -> None:
    progress = Progress(10.0, now=0.0)

    assert progress.look(3600.0, waiting=5, is_outside=True, mark=1)
    assert progress.look(3609.0, waiting=5, is_outside=False, mark=1)
    assert not progress.look(3611.0, waiting=5, is_outside=False, mark=1)
