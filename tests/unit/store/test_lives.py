"""What a service leaves behind of its lives, and of who ended them."""

from __future__ import annotations

from pathlib import Path

import pytest

from geoweir.store.lives import Lives

DIGEST = "0123456789abcdef"


def die(lives: Lives) -> None:
    """What the kernel does for a process that dies."""
    lives._map.close()
    lives._file.close()


def test_two_services_do_not_share_a_life(tmp_path: Path) -> None:
    lives = Lives(tmp_path / "s", 1000.0)

    with pytest.raises(BlockingIOError):
        Lives(tmp_path / "s", 1000.0)

    lives.end()


def test_an_orderly_end_leaves_nothing(tmp_path: Path) -> None:
    lives = Lives(tmp_path / "s", 1000.0)
    lives.takes(DIGEST)
    lives.end()

    again = Lives(tmp_path / "s", 1001.0)

    assert (again.short, again.deadly) == (0, [])
    again.end()


def test_short_lives_are_counted_until_one_is_long(tmp_path: Path) -> None:
    for number in range(3):
        lives = Lives(tmp_path / "s", 1000.0)
        assert lives.short == number
        lives.lives(1010.0)
        die(lives)

    lives = Lives(tmp_path / "s", 2000.0)
    lives.lives(2600.0)
    die(lives)

    assert lives.short == 3
    lives = Lives(tmp_path / "s", 3000.0)
    assert lives.short == 0
    lives.end()


def test_who_is_alone_at_a_death_is_deadly_once_and_for_all(tmp_path: Path) -> None:
    for _ in range(2):
        lives = Lives(tmp_path / "s", 1000.0)
        assert lives.deadly == []
        lives.takes(DIGEST)
        die(lives)

    first = Lives(tmp_path / "s", 1001.0)
    assert first.deadly == [DIGEST]
    first.end()

    second = Lives(tmp_path / "s", 1002.0)
    assert second.deadly == [DIGEST]
    second.end()


def test_another_one_at_each_death_is_no_culprit(tmp_path: Path) -> None:
    for name in ("a", "b", "a", "b"):
        lives = Lives(tmp_path / "s", 1000.0)
        lives.takes(name * 16)
        die(lives)

    lives = Lives(tmp_path / "s", 1000.0)
    assert lives.deadly == []
    lives.end()


def test_who_was_done_before_the_death_is_not(tmp_path: Path) -> None:
    lives = Lives(tmp_path / "s", 1000.0)
    lives.takes(DIGEST)
    lives.takes(None)
    die(lives)

    again = Lives(tmp_path / "s", 1001.0)
    assert again.deadly == []
    again.end()


def test_files_that_are_none_of_ours_are_no_reason_to_stay_down(tmp_path: Path) -> None:
    (tmp_path / "s.lives").write_bytes(b"\xff" * 5000)
    (tmp_path / "s.deadly").write_bytes(b"\xff\x00 short\n" + DIGEST.encode())

    lives = Lives(tmp_path / "s", 1000.0)

    assert (lives.short, lives.deadly) == (0, [DIGEST])
    lives.end()


def test_a_clock_that_was_stepped_back_makes_no_life_short(tmp_path: Path) -> None:
    lives = Lives(tmp_path / "s", 5000.0)
    lives.lives(1000.0)
    die(lives)

    again = Lives(tmp_path / "s", 1001.0)
    assert again.short == 0
    again.end()
