"""What the watchdog says in each phase; the clock is the loop's, and waits are short."""

from __future__ import annotations

import asyncio
from typing import Literal

from geoweir.app.watchdog import Watchdog
from geoweir.telemetry.notify import Notifier
from geoweir.web.status import Condition
from support.eventually import until


class Heard(Notifier):
    """A notifier that remembers."""

    def __init__(self, watchdog_s: float | None = 0.03) -> None:
        super().__init__("/nobody", watchdog_s)
        self.lines: list[str] = []

    def send(self, *lines: str) -> None:
        self.lines += lines


class Watched:
    """A service whose state and progress the test sets."""

    def __init__(self) -> None:
        self.state: Literal["starting", "online", "draining"] = "starting"
        self.detail = ""

    def alive(self) -> Condition:
        return Condition("progress", not self.detail, 0.0, self.detail)


async def test_a_start_asks_for_time_and_is_not_ready() -> None:
    heard, watched = Heard(), Watched()
    async with Watchdog(heard, watched, 1.0).watching():
        await until(lambda: len(heard.lines) > 2)
        said = set(heard.lines)

    assert said == {"EXTEND_TIMEOUT_USEC=60000000", "STATUS=starting"}


async def test_it_feeds_in_each_third_of_the_period_and_says_ready_once() -> None:
    heard, watched = Heard(), Watched()
    watched.state = "online"
    async with Watchdog(heard, watched, 60.0).watching():
        await until(lambda: heard.lines.count("WATCHDOG=1") > 5)

    assert heard.lines.count("READY=1") == 1


async def test_without_progress_it_triggers_and_says_why_on_one_line() -> None:
    heard, watched = Heard(), Watched()
    watched.state, watched.detail = "online", "5 inputs wait\nREADY=1"
    async with Watchdog(heard, watched, 1.0).watching():
        await until(lambda: "WATCHDOG=trigger" in heard.lines)
        said = list(heard.lines)

    assert "STATUS=5 inputs wait READY=1" in said
    assert "WATCHDOG=1" not in said


async def test_where_no_watchdog_is_wanted_nothing_is_triggered() -> None:
    heard, watched = Heard(watchdog_s=None), Watched()
    watched.state, watched.detail = "online", "stuck"
    async with Watchdog(heard, watched, 0.01).watching():
        await asyncio.sleep(0.1)
        said = list(heard.lines)

    assert said == []


async def test_the_end_is_fed_whatever_hangs() -> None:
    heard, watched = Heard(), Watched()
    watched.state, watched.detail = "draining", "stuck"
    async with Watchdog(heard, watched, 1.0).watching():
        await until(lambda: heard.lines.count("WATCHDOG=1") > 2)

    assert heard.lines.count("STOPPING=1") == 1
    assert "WATCHDOG=trigger" not in heard.lines
