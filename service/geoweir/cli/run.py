"""``geoweir run``: the service, until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import signal
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from geoweir.settings.values import Settings

__all__ = ["add_parser", "run"]

_MOST_PROCESSES: Final = 64


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "run",
        help="run the service until SIGTERM",
        description="Runs the service until SIGTERM or SIGINT, then drains and exits 0.",
        epilog="Example: geoweir run -c geoweir.yaml --processes 4",
    )
    parser.add_argument("-c", "--config", required=True, metavar="FILE", help="the configuration")
    parser.add_argument(
        "--wait-for-broker",
        action="store_true",
        help="keep trying when the broker isn't there at the start",
    )
    parser.add_argument(
        "--processes",
        type=_count,
        default=1,
        metavar="N",
        help=f"share the streams among so many services, 1 to {_MOST_PROCESSES}, shown as one "
        "(docs/scaling.md); keep N, since the broker keeps messages for each of them",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    from geoweir.cli.configuration import load_or_explain

    settings = load_or_explain(args.config)
    if args.processes > 1:
        _become_several(settings, args)
    asyncio.run(_serve(settings, waits_for_broker=args.wait_for_broker))
    return 0


def _count(text: str) -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= _MOST_PROCESSES:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a number from 1 to {_MOST_PROCESSES}")


def _become_several(settings: Settings, args: argparse.Namespace) -> NoReturn:
    from geoweir.app.fleet.split import split
    from geoweir.app.fleet.wire import Plan
    from geoweir.cli.supervise import become
    from geoweir.settings.machine import auto_workers

    members = split(settings, args.processes, auto_workers(processes=args.processes))
    become(Plan(settings, members, args.wait_for_broker), debug=args.debug)


async def _serve(settings: object, *, waits_for_broker: bool) -> None:
    from geoweir.app.service import Service
    from geoweir.cli.configuration import broker_options
    from geoweir.settings.values import Settings
    from geoweir.telemetry.log import configure

    if not isinstance(settings, Settings):
        raise TypeError(settings)
    configure(settings.log.level, settings.log.format)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    service = Service(settings, broker_options(settings.mqtt), waits_for_broker=waits_for_broker)
    await service.run(stop, lambda url: print(f"geoweir is ready: {url}", flush=True))
