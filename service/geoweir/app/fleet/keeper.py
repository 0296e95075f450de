"""Keeps one process alive: starts it, and starts it again when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import signal
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from geoweir.app.fleet import accounts
from geoweir.app.fleet.life import Life
from geoweir.app.fleet.wire import Assignment, Failed, Left, Report
from geoweir.core.backoff import Backoff
from geoweir.errors import GeoweirError, WorkerError
from geoweir.telemetry import merged
from geoweir.telemetry.log import LOGGER, write

__all__ = ["Keeper"]

#: A process that was ready for so long is a good one: its death is the first again.
_GOOD_AFTER_S: Final = 10.0
#: Deaths before ready, in a row, that end everything.
_STILLBORN: Final = 5
_WRONG_CONFIGURATION: Final = 2  # exit status
_KILLED: Final = "killed by SIGKILL"


class Keeper:
    """One of the places for a process, and whoever is in it.

    Attributes:
        index: the number of the place.
        life: the process that has it now; None between two.
        deaths: how many ended otherwise than in order.
        since: when the place was last filled or emptied, on the monotonic clock.
        past_account: what processes that ended add to the account.
        past_page: what they add to the metrics.
        fault: why there is no use in starting another.
        is_drained: whether nobody here ended otherwise than in order since ``leave``.
    """

    def __init__(self, assignment: Assignment, *, debug: bool, on_news: Callable[[], None]) -> None:
        self._assignment = assignment
        self._debug = debug
        self._on_news = on_news
        self._backoff = Backoff(first_s=0.1, most_s=10.0)
        self._stillborn = 0
        self._was_ready = False
        self._leaving = asyncio.Event()
        self.index = assignment.index
        self.life: Life | None = None
        self.deaths = 0
        self.since = time.monotonic()
        self.past_account: dict[str, Any] = accounts.empty(self.streams())
        self.past_page: merged.Page = {}
        self.fault: GeoweirError | None = None
        self.is_drained = True

    def __repr__(self) -> str:
        return f"<Keeper {self.index} {self.life} deaths={self.deaths}>"

    def streams(self) -> Iterable[str]:
        """The names of the streams that the process reads."""
        return [stream.name for stream in self._assignment.settings.streams]

    @property
    def report(self) -> Report | None:
        """What the process that is there said last."""
        return None if self.life is None else self.life.report

    @property
    def is_leaving(self) -> bool:
        """Whether the process is to end."""
        return self._leaving.is_set()

    async def keep(self) -> None:
        """Keeps the place filled until ``leave``, or until there is no use (``fault``)."""
        while not self.is_leaving and self.fault is None:
            started = time.monotonic()
            await self._live()
            if self.fault is not None:
                return
            if self._was_ready and time.monotonic() - started > _GOOD_AFTER_S:
                self._backoff.reset()
            wait_s = self._backoff.next_s(random.random())  # noqa: S311 - spreads, guards nothing
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._leaving.wait()

    def leave(self) -> None:
        """Ends the process in order, and starts no other."""
        self._leaving.set()
        if self.life is not None:
            self.life.signal(signal.SIGTERM)

    def inherit(self, left: Left, streams: Iterable[str]) -> None:
        """Adds what processes left under another configuration, of streams that are there still."""
        names = set(streams)
        ours = {name: counts for name, counts in left.account["streams"].items() if name in names}
        self.past_account = accounts.total([self.past_account, {**left.account, "streams": ours}])
        self.past_page = merged.merge([self.past_page, merged.read(left.metrics)], {}, 0)

    def look_at_layers(self) -> None:
        """Has the process look at its files of layers."""
        if self.life is not None and self.life.is_ready:
            self.life.signal(signal.SIGHUP)

    def kill(self) -> None:
        """Ends the process at once."""
        if self.life is not None:
            self.life.signal(signal.SIGKILL)

    async def _live(self) -> None:
        """One process from its start to its end."""
        try:
            life = await Life.begin(self._assignment, debug=self._debug, on_news=self._on_news)
        except OSError as error:
            self._stillborn_too(Failed(f"a process can't be started: {error}", 1), "")
            self._on_news()
            return
        self.life, self.since = life, time.monotonic()
        write(LOGGER, logging.INFO, "process-started", process=self.index, pid=life.pid)
        if self.is_leaving:
            life.signal(signal.SIGTERM)
        how = await life.ended()
        self.life, self.since = None, time.monotonic()
        self._bury(life, how)
        self._on_news()

    def _bury(self, life: Life, how: str) -> None:
        """Keeps what the process leaves to the sum, and says what its end means."""
        held = 0
        if life.report is not None:
            held = sum(s["in_flight"] for s in life.report.account["streams"].values())
            left = accounts.remains(life.report.account)
            self.past_account = accounts.total([self.past_account, left])
            page = merged.remains(merged.read(life.report.metrics))
            self.past_page = merged.merge([self.past_page, page], {}, 0)
        if self.is_leaving and (not how or (life.report is None and how != _KILLED)):
            return  # in order, or before it had read anything
        self.deaths += 1
        self.is_drained = not self.is_leaving
        why = how or "it ended unasked"
        write(
            LOGGER,
            logging.ERROR,
            "process-ended",
            process=self.index,
            pid=life.pid,
            why=life.failed.line if life.failed is not None else why,
            returned=held,
        )
        if life.is_ready:
            self._stillborn = 0
            self._was_ready = True
            # One that comes back waits for the broker, as one that runs would.
            self._assignment = Assignment(
                self.index,
                self._assignment.settings,
                self._assignment.url,
                True,  # noqa: FBT003
            )
        else:
            self._stillborn_too(life.failed, why)

    def _stillborn_too(self, failed: Failed | None, how: str) -> None:
        """A process died before it was ready: how often may that be?"""
        self._stillborn += 1
        is_hopeless = (
            self._stillborn >= _STILLBORN
            or not self._was_ready
            or (failed is not None and failed.status == _WRONG_CONFIGURATION)
        )
        if failed is not None and is_hopeless:
            self.fault = WorkerError(failed.line)
        elif self._stillborn >= _STILLBORN:
            self.fault = WorkerError(
                f"process {self.index} ended {self._stillborn} times in a row before it was ready "
                f"({how}). Its log above says why; geoweir run without --processes may say more."
            )
