"""Progress: a bar on a terminal, plain lines elsewhere, and neither too often."""

from __future__ import annotations

import io

import pytest

from geoweir.cli import progress
from geoweir.cli.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_elsewhere_there_is_a_plain_line_now_and_then(clock: list[float]) -> None:
    out = io.StringIO()
    shown = Progress("replay", out)
    for clock[0] in range(25):
        shown.show(clock[0] / 25, "some")
    shown.clear()
    assert out.getvalue() == "replay: 40%, some\nreplay: 80%, some\n"


def test_a_terminal_has_a_bar_that_leaves_nothing_behind(clock: list[float]) -> None:
    out = Terminal()
    shown = Progress("replay", out)
    clock[0] = 1.0
    shown.show(0.5, "150 sent")
    assert out.getvalue().startswith("\r" + "█" * 15 + "░" * 15 + "  50%  150 sent")
    shown.clear()
    assert out.getvalue().endswith("\r\x1b[K")


def test_a_line_of_its_own_takes_the_bar_away_first(clock: list[float]) -> None:
    out = Terminal()
    shown = Progress("replay", out)
    clock[0] = 1.0
    shown.show(0.5, "x")
    shown.say("connection lost")
    assert out.getvalue().endswith("\r\x1b[Kreplay: connection lost\n")
