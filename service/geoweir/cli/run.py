"""``geoweir run``: the service, until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Final

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
    parser.add_argument("--plan", type=int, metavar="FD", help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs the command; does not return where the configuration is sound."""
    from geoweir.app.fleet.wire import Plan, write_plan
    from geoweir.cli.becoming import become
    from geoweir.cli.configuration import load_or_explain
    from geoweir.cli.environment import check_environment

    check_environment(os.environ, processes=args.processes)
    settings = load_or_explain(args.config)
    several = args.processes > 1
    members = _split(settings, args.processes) if several else (settings,)
    plan = Plan(settings, members, args.wait_for_broker)
    if args.plan is None:
        become("supervise" if several else "serve", plan, config=args.config, debug=args.debug)
    # For a service that looks whether its configuration has changed.
    with os.fdopen(args.plan, "wb") as file:
        file.write(write_plan(plan))
    return 0


def _count(text: str) -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= _MOST_PROCESSES:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a number from 1 to {_MOST_PROCESSES}")


def _split(settings: Settings, processes: int) -> tuple[Settings, ...]:
    from geoweir.app.fleet.split import split
    from geoweir.settings.machine import auto_workers

    return split(settings, processes, auto_workers(processes=processes))
