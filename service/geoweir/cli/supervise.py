"""What ``geoweir run --processes`` becomes once the configuration is read."""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import os
import signal
from typing import TYPE_CHECKING

import msgspec

from geoweir.cli.becoming import add_arguments, become_again, read_plan
from geoweir.cli.following import follow_until

if TYPE_CHECKING:
    from geoweir.app.fleet.wire import Plan

__all__ = ["add_parser", "run"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "supervise", description="Watches over processes; geoweir run --processes starts it."
    )
    add_arguments(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    following = asyncio.run(_serve(read_plan(args.descriptor), args.config, debug=args.debug))
    if following is not None:
        become_again("supervise", following, config=args.config, debug=args.debug)
    return 0


async def _serve(plan: Plan, config: str, *, debug: bool) -> Plan | None:
    """Supervises until it is asked to stop; the plan to go on with, if that was for another one."""
    from geoweir.app.fleet.supervisor import Supervisor
    from geoweir.app.watchdog import Watchdog
    from geoweir.telemetry.log import configure
    from geoweir.telemetry.notify import Notifier

    faulthandler.enable()  # a watchdog ends us by SIGABRT: the stacks say where we stood
    notifier = Notifier.from_environ(os.environ, is_wanted=plan.settings.watchdog.notifies)
    configure(plan.settings.log.level, plan.settings.log.format)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    supervisor = Supervisor(plan, debug=debug)
    watchdog = Watchdog(notifier, supervisor.status, plan.settings.watchdog.interval_s)
    async with watchdog.watching():
        fresh = await follow_until(
            supervisor.run(stop, lambda url: print(f"geoweir is ready: {url}", flush=True)),
            config=config,
            plan=plan,
            who=supervisor,
            stop=stop,
        )
    return fresh and msgspec.structs.replace(fresh, left=supervisor.left())
