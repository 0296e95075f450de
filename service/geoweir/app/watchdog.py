"""Tells whoever started the service that it lives: while the loop turns and inputs move.

An outage of the broker is no reason to be started again; see ``core.progress``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Final, Literal, Protocol

from geoweir.telemetry.log import LOGGER, write
from geoweir.telemetry.notify import Notifier
from geoweir.web.status import Condition

__all__ = ["Watchdog", "Watched"]

_STARTING_EVERY_S: Final = 0.1
#: A start that does not turn the loop for so long is no longer one. Workers take theirs.
_STARTING: Final = "EXTEND_TIMEOUT_USEC=60000000"
#: Between two looks: what stands still is to be found out soon, and progress is measured by looks.
_LOOK_S: Final = 0.5
#: Signs of life in each period that the manager gives.
_SIGNS: Final = 3
_TEXT: Final = 200


class Watched(Protocol):
    """What is watched: the status of a service, or of several as one."""

    @property
    def state(self) -> Literal["starting", "online", "draining"]:
        """Where it is in its life."""
        ...

    def alive(self) -> Condition:
        """Whether it makes progress."""
        ...


class Watchdog:
    """Says what the service does, and feeds while it is alive.

    Args:
        notifier: to whom.
        status: of what.
        interval_s: the longest time between two signs of life.
    """

    def __init__(self, notifier: Notifier, status: Watched, interval_s: float) -> None:
        self._notifier = notifier
        self._status = status
        period_s = notifier.watchdog_s
        every_s = interval_s if period_s is None else min(interval_s, period_s / _SIGNS)
        self._every_s = min(every_s, _LOOK_S)
        self._told = ""

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Watches during the block, also where nobody is told: a page may ask at any time."""
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self._run(), name="watchdog")
            try:
                yield
            finally:
                task.cancel()
                self._feed("draining")  # where the end came between two looks

    async def _run(self) -> None:
        while self._status.state == "starting":
            self._notifier.send(_STARTING, "STATUS=starting")
            await asyncio.sleep(_STARTING_EVERY_S)
        while True:
            self._look()
            await asyncio.sleep(self._every_s)

    def _look(self) -> None:
        state = self._status.state
        condition = self._status.alive()
        # The end is bounded by shutdown_grace, whatever hangs.
        if condition.ok or state == "draining":
            self._feed(state)
        else:
            self._give_up(condition)

    def _feed(self, state: str) -> None:
        news = []
        if state != self._told:
            news = ["READY=1" if state == "online" else "STOPPING=1", f"STATUS={state}"]
            self._told = state
        self._notifier.send("WATCHDOG=1", *news)

    def _give_up(self, condition: Condition) -> None:
        if self._notifier.watchdog_s is None:
            return  # nobody acts on it; /healthz says so
        if self._told != "stuck":
            write(LOGGER, logging.CRITICAL, "watchdog-starved", why=condition.detail)
            self._told = "stuck"
        detail = " ".join(condition.detail.split())[:_TEXT]
        self._notifier.send(f"STATUS={detail}", "WATCHDOG=trigger")
