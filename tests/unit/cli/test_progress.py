"""Progress: a bar on a terminal, plain lines elsewhere, and neither too often."""

from __future__ import annotations

import io

from geoweir.cli.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_elsewhere_there_is_a_plain_line_now_and_then() -> None:
    out, now = io.StringIO(), [0.0]
    shown = Progress("replay", out, lambda: now[0])
    for now[0] in range(25):
        shown.show(now[0] / 25, "some")
    shown.clear()
    assert out.getvalue() == "replay: 40%, some\nreplay: 80%, some\n"


def test_a_terminal_has_a_bar_that_leaves_nothing_behind() -> None:
    out, now = Terminal(), [0.0]
    shown = Progress("replay", out, lambda: now[0])
    now[0] = 1.0
    shown.show(0.5, "150 sent")
    assert out.getvalue().startswith("\r" + "█" * 15 + "░" * 15 + "  50%  150 sent")
    shown.clear()
    assert out.getvalue().endswith("\r\x1b[K")


def test_a_line_of_its_own_takes_the_bar_away_first() -> None:
    out, now = Terminal(), [0.0]
    shown = Progress("replay", out, lambda: now[0])
    now[0] = 1.0
    shown.show(0.5, "x")
    shown.say("connection lost")
    assert out.getvalue().endswith("\r\x1b[Kreplay: connection lost\n")
