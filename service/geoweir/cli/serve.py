"""What ``geoweir run`` becomes once the configuration is read: the service itself."""

from __future__ import annotations

import argparse
import asyncio
import signal
from typing import TYPE_CHECKING

from geoweir.cli.becoming import add_arguments, become, read_plan

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
    plan = read_plan(args.descriptor)
    following = asyncio.run(_serve(plan, args.config))
    if following is not None:
        become("serve", following, config=args.config, debug=args.debug)
    return 0


async def _serve(plan: Plan, config: str) -> Plan | None:
    """Serves until it is asked to stop; the plan to go on with, if that was for another one."""
    from geoweir.app.service import Service
    from geoweir.cli.configuration import broker_options
    from geoweir.telemetry.log import configure

    settings = plan.settings
    configure(settings.log.level, settings.log.format)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    service = Service(
        settings, broker_options(settings.mqtt), waits_for_broker=plan.waits_for_broker
    )
    loop.add_signal_handler(signal.SIGHUP, service.look_at_layers)
    await service.run(stop, lambda url: print(f"geoweir is ready: {url}", flush=True))
