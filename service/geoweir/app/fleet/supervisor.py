"""Several processes of one configuration, shown and ended as one service.

It moves no message: it starts processes, asks them how they are, answers HTTP for all of them, and
ends them. So it imports neither the MQTT client nor any geometry.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Final

from geoweir.app.fleet import accounts
from geoweir.app.fleet.keeper import Keeper
from geoweir.app.fleet.kept import FleetKept
from geoweir.app.fleet.life import Life
from geoweir.app.fleet.split import loses_retained
from geoweir.app.fleet.status import FleetStatus
from geoweir.app.fleet.wire import Assignment, Left, Plan
from geoweir.errors import WorkerError
from geoweir.settings.units import duration_text
from geoweir.telemetry import merged
from geoweir.telemetry.log import LOGGER, write
from geoweir.web.server import HttpServer

__all__ = ["Supervisor"]

_ASK_EVERY_S: Final = 1.0
#: Numbers younger than this are not asked for again: strangers may ask as often as they like.
_FRESH_S: Final = 0.1
_ANSWER_S: Final = 1.0
#: Beyond ``shutdown_grace``, for what a process does after it has drained.
_EXIT_S: Final = 2.0


class Supervisor:
    """Runs a plan's processes.

    Args:
        plan: what each of them is.
        debug: whether they show tracebacks.
    """

    def __init__(self, plan: Plan, *, debug: bool = False) -> None:
        self._plan = plan
        self._debug = debug
        self._version = version("geoweir")
        self._keepers: list[Keeper] = []
        self._status = FleetStatus(
            self._keepers,
            streams=[stream.name for stream in plan.settings.streams],
            version=self._version,
        )
        self._news = asyncio.Event()
        self._why = "asked to stop"

    @property
    def status(self) -> FleetStatus:
        """What pages and watchdogs are told."""
        return self._status

    async def run(self, stop: asyncio.Event, on_ready: Callable[[str], None]) -> None:
        """Runs until ``stop``, then drains.

        Args:
            stop: set by whoever wants the end.
            on_ready: called once with the HTTP address when every process is ready.

        Raises:
            GeoweirError: a process can't be started, or did not drain; one clear line.
        """
        http = self._plan.settings.http
        kept = FleetKept(self._keepers, lambda: self._status.now()["store"])
        async with HttpServer(
            http.host,
            http.port,
            self._status,
            token=http.token,
            kept=kept,
            refresh=self.refresh,
        ) as server:
            self._hire(server.url)
            self._explain()
            async with asyncio.TaskGroup() as tasks:
                keeping = [
                    tasks.create_task(keeper.keep(), name=f"keeper of process {keeper.index}")
                    for keeper in self._keepers
                ]
                helpers = [
                    tasks.create_task(self._ask(), name="ask"),
                    tasks.create_task(self._watch(stop, on_ready, server.url), name="watch"),
                ]
                await stop.wait()
                await self._drain(keeping)
                for task in helpers:
                    task.cancel()
        self._conclude()

    def left(self) -> Left:
        """What the processes leave to the sums, after the end."""
        account = accounts.total(keeper.past_account for keeper in self._keepers)
        page = merged.merge((keeper.past_page for keeper in self._keepers), {}, 0)
        return Left(account, merged.write(page))

    # A changed configuration.

    def leave_for(self, why: str) -> None:
        """What the log says of the end that comes now."""
        self._why = why

    def refuse_configuration(self, why: str) -> None:
        """A changed configuration can't be taken up: this one goes on."""
        write(LOGGER, logging.ERROR, "reload-refused", detail=why)
        self._status.is_reload_good = False

    def keep_configuration(self) -> None:
        """The configuration says what it said."""
        write(LOGGER, logging.INFO, "reload-unneeded")
        self._status.is_reload_good = True

    def look_at_layers(self) -> None:
        """Has every process look at its files of layers now."""
        for keeper in self._keepers:
            keeper.look_at_layers()

    async def refresh(self) -> None:
        """Asks every process how it is, and waits for the answers, not for long."""
        now = time.monotonic()
        asked = [
            life.ask()
            for keeper in self._keepers
            if (life := keeper.life) is not None and _may_answer(life, now)
        ]
        if asked:
            await asyncio.wait(asked, timeout=_ANSWER_S)

    def _hire(self, url: str) -> None:
        left = self._plan.left
        # A broker that is away while we change is no reason to end.
        waits = self._plan.waits_for_broker or left is not None
        for index, settings in enumerate(self._plan.members):
            assignment = Assignment(index, settings, url, waits)
            self._keepers.append(Keeper(assignment, debug=self._debug, on_news=self._news.set))
        if left is not None:
            self._keepers[0].inherit(left, [s.name for s in self._plan.settings.streams])
            write(LOGGER, logging.INFO, "reloaded")

    def _explain(self) -> None:
        lost = loses_retained(self._plan.settings)
        if lost:
            write(
                LOGGER,
                logging.INFO,
                "retained-not-shared",
                streams=lost,
                detail="shared subscriptions bring no retained messages, only new ones",
            )

    async def _ask(self) -> None:
        """Keeps the numbers fresh, so that little is missing when a process dies."""
        while True:
            await asyncio.sleep(_ASK_EVERY_S)
            for keeper in self._keepers:
                if keeper.life is not None and keeper.life.report is not None:
                    keeper.life.ask()

    async def _watch(self, stop: asyncio.Event, on_ready: Callable[[str], None], url: str) -> None:
        """Says once that all are ready, and ends everything where one can't be."""
        while True:
            await self._news.wait()
            self._news.clear()
            if any(keeper.fault is not None for keeper in self._keepers):
                stop.set()
            elif self._status.state == "starting" and all(
                keeper.life is not None and keeper.life.is_ready for keeper in self._keepers
            ):
                self._status.state = "online"
                write(LOGGER, logging.INFO, "ready", version=self._version, url=url)
                on_ready(url)

    async def _drain(self, keeping: list[asyncio.Task[None]]) -> None:
        grace_s = self._plan.settings.shutdown_grace_s
        self._status.state = "draining"
        write(
            LOGGER, logging.INFO, "draining", why=self._why, processes=len(keeping), grace_s=grace_s
        )
        for keeper in self._keepers:
            keeper.leave()
        _, late = await asyncio.wait(keeping, timeout=grace_s + _EXIT_S)
        if late:
            for keeper in self._keepers:
                keeper.kill()
            await asyncio.wait(late)

    def _conclude(self) -> None:
        """Logs the sum of all that were; raises what went wrong."""
        account = self._status.account()
        streams = account["streams"].values()
        write(
            LOGGER,
            logging.ERROR if account["unaccounted"] else logging.INFO,
            "stopped",
            processes=len(self._keepers),
            unaccounted=account["unaccounted"],
            received=sum(stream["received"] for stream in streams),
            returned=sum(stream["returned"] for stream in streams),
        )
        for keeper in self._keepers:
            if keeper.fault is not None:
                raise keeper.fault
        undrained = [str(keeper.index) for keeper in self._keepers if not keeper.is_drained]
        if undrained:
            grace = duration_text(self._plan.settings.shutdown_grace_s)
            raise WorkerError(
                f"process {', '.join(undrained)} did not drain within {grace}; what it held is at "
                "the broker. Raise shutdown_grace, or see its log."
            )


def _may_answer(life: Life, now: float) -> bool:
    """Whether it is worth while to wait for a process: it talks, and has nothing fresh."""
    is_stuck = life.asked > life.reported and now - life.asked > _ANSWER_S
    return life.report is not None and now - life.reported > _FRESH_S and not is_stuck
