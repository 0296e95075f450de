"""What ``geoweir run`` becomes once the configuration is read: the service itself."""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import os
import signal
from contextlib import nullcontext
from typing import TYPE_CHECKING

import msgspec

from geoweir.cli.becoming import add_arguments, become_again, read_plan
from geoweir.cli.environment import ENVIRONMENT, STAGING
from geoweir.cli.following import follow_until

if TYPE_CHECKING:
    from geoweir.app.fleet.wire import Plan
    from geoweir.app.staging import Staging

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
    environment = dict(os.environ)  # some of it leaves, so that no child has it
    following = asyncio.run(_serve(plan, args.config))
    if following is not None:
        os.environ.update(environment)
        become_again("serve", following, config=args.config, debug=args.debug)
    return 0


async def _serve(plan: Plan, config: str) -> Plan | None:
    """Serves until it is asked to stop; the plan to go on with, if that was for another one."""
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
    staging = _staging(settings.state.path)
    service = Service(
        settings,
        broker_options(settings.mqtt),
        # A broker that is away while we change is no reason to end.
        waits_for_broker=plan.waits_for_broker or plan.earlier is not None,
        earlier=plan.earlier,
        staging=staging,
    )

    watchdog = Watchdog(notifier, service.status, settings.watchdog.interval_s)
    async with staging.watching() if staging else nullcontext(), watchdog.watching():
        fresh = await follow_until(
            service.run(stop, lambda url: print(f"geoweir is ready: {url}", flush=True)),
            config=config,
            plan=plan,
            who=service,
            stop=stop,
        )
    return fresh and msgspec.structs.replace(fresh, earlier=service.earlier_totals())


def _staging(state: str | None) -> Staging | None:
    """What debugs the service where its environment asks for that."""
    if os.environ.get(ENVIRONMENT) != STAGING:
        return None
    from geoweir.app.staging import Staging

    return Staging(state)
