"""What ``geoweir run --processes`` becomes once the configuration is read.

The process image is replaced, so that who watches over the processes for months holds nothing of
what reading a configuration takes.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from geoweir.app.fleet.wire import Plan

__all__ = ["add_parser", "become", "run"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "supervise", description="Watches over processes; geoweir run --processes starts it."
    )
    parser.add_argument("descriptor", type=int, help="of an open file with the plan")
    parser.set_defaults(run=run)


def become(plan: Plan, *, debug: bool) -> NoReturn:
    """Replaces this process by a supervisor."""
    import sys

    from geoweir.app.fleet.wire import write_plan

    descriptor = os.memfd_create("geoweir-plan", 0)  # it passes through exec
    with os.fdopen(descriptor, "wb", closefd=False) as file:
        file.write(write_plan(plan))
    sys.stdout.flush()
    sys.stderr.flush()
    flags = ["--debug"] if debug else []
    command = [sys.executable, "-m", "geoweir", *flags, "supervise", str(descriptor)]
    os.execv(sys.executable, command)  # noqa: S606 - ourselves


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    from geoweir.app.fleet.wire import read_plan

    with os.fdopen(args.descriptor, "rb") as file:
        file.seek(0)
        plan = read_plan(file.read())
    asyncio.run(_serve(plan, debug=args.debug))
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
