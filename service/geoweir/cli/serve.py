"""What ``geoweir run`` becomes once the configuration is read: the service itself."""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import os
import signal
from typing import TYPE_CHECKING

from geoweir.cli.becoming import add_arguments, read_plan

if TYPE_CHECKING:
    from geoweir.app.fleet.wire import Plan

__all__ = ["add_parser", "run"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "serve",
        description="The service itself; geoweir run checks the configuration and starts it.",
    )
    add_arguments(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    asyncio.run(_serve(read_plan(args.descriptor)))
    return 0


async def _serve(plan: Plan) -> None:
    from geoweir.app.service import Service
    from geoweir.app.watchdog import Watchdog
    from geoweir.cli.configuration import broker_options
    from geoweir.telemetry.log import configure
    from geoweir.telemetry.notify import Notifier

    settings = plan.settings
    faulthandler.enable()  # a watchdog ends us by SIGABRT: the stacks say where we stood
    notifier = Notifier.from_environ(os.environ, is_wanted=settings.watchdog.notifies)
    configure(settings.log.level, settings.log.format)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    service = Service(
        settings, broker_options(settings.mqtt), waits_for_broker=plan.waits_for_broker
    )
    loop.add_signal_handler(signal.SIGHUP, service.look_at_layers)
    watchdog = Watchdog(notifier, service.status, settings.watchdog.interval_s)
    async with watchdog.watching():
        await service.run(stop, lambda url: print(f"geoweir is ready: {url}", flush=True))
