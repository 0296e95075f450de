"""What ``geoweir run --processes`` becomes once the configuration is read."""

from __future__ import annotations

import argparse
import asyncio
import signal
from typing import TYPE_CHECKING

from geoweir.cli.becoming import add_arguments, read_plan

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
    asyncio.run(_serve(read_plan(args.descriptor), debug=args.debug))
    return 0


async def _serve(plan: Plan, *, debug: bool) -> None:
    from geoweir.app.fleet.supervisor import Supervisor
    from geoweir.telemetry.log import configure

    configure(plan.settings.log.level, plan.settings.log.format)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await Supervisor(plan, debug=debug).run(
        stop, lambda url: print(f"geoweir is ready: {url}", flush=True)
    )
