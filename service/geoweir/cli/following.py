"""A running service that takes up a changed configuration: when it looks, and what it says."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from geoweir.cli.reloading import fresh_plan
from geoweir.errors import ConfigurationError

if TYPE_CHECKING:
    from geoweir.app.fleet.wire import Plan

__all__ = ["Reloadable", "changes", "follow_until"]


class Reloadable(Protocol):
    """Who has a configuration: a service, or the supervisor of several."""

    def refuse_configuration(self, why: str) -> None:
        """A changed configuration can't be taken up: this one goes on."""

    def keep_configuration(self) -> None:
        """The configuration says what it said."""

    def look_at_layers(self) -> None:
        """Looks at the files of layers now."""

    def leave_for(self, why: str) -> None:
        """What the log says of the end that comes now."""


async def follow_until(
    end: Awaitable[None], *, config: str, plan: Plan, who: Reloadable, stop: asyncio.Event
) -> Plan | None:
    """Follows the configuration until a service ends; the plan to go on with, if that is why.

    Looks on SIGHUP, and where ``reload.watch`` says so.

    Args:
        end: the service, from its start to its end.
        config: the path of the configuration.
        plan: what it said before.
        who: is told what came of each look.
        stop: is set when there is another plan.
    """
    found: list[Plan] = []

    async def follow() -> None:
        found.append(await _another(config, plan, who))
        who.leave_for("another configuration")
        stop.set()

    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(follow(), name="follow-configuration")
        await end
        following.cancel()
    return found[0] if found else None


async def _another(config: str, plan: Plan, who: Reloadable) -> Plan:
    """What the configuration says as soon as it is something else and sound."""
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, asked.set)
    watching = asyncio.ensure_future(_watch(config, plan.settings.reload_watch_s, asked.set))
    try:
        while True:
            await asked.wait()
            asked.clear()
            who.look_at_layers()
            try:
                fresh = await fresh_plan(config, processes=len(plan.members), before=plan)
            except ConfigurationError as error:
                who.refuse_configuration(str(error))
                continue
            if fresh is not None:
                return fresh
            who.keep_configuration()
    finally:
        watching.cancel()


async def _watch(config: str, every_s: float | None, changed: Callable[[], None]) -> None:
    if every_s is not None:
        async for _ in changes(Path(config), every_s):
            changed()


async def changes(path: Path, every_s: float) -> AsyncIterator[None]:
    """Yields when a file is another one and has stayed so for one look: none half-written.

    Looks instead of listening: inotify sees neither network file systems nor the symbolic links
    that Kubernetes swaps.
    """
    used = latest = _stamp(path)
    while True:
        await asyncio.sleep(every_s)
        before, latest = latest, _stamp(path)
        if latest == before != used and latest is not None:
            used = latest
            yield


def _stamp(path: Path) -> tuple[int, ...] | None:
    """What changes when a file does; None while there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
