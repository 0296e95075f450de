"""One process of several: what ``geoweir run --processes`` starts."""

from __future__ import annotations

import argparse
import asyncio
import socket
import traceback
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from geoweir.app.fleet.wire import Failed

__all__ = ["add_parser", "run"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "member", description="One process of several; geoweir run --processes starts it."
    )
    parser.add_argument("descriptor", type=int, help="of the socket to the supervisor")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    from geoweir.app.fleet.member import Member
    from geoweir.cli.configuration import broker_options

    channel = socket.socket(fileno=args.descriptor)
    channel.set_inheritable(False)  # or a worker would hold it open when we are gone
    channel.settimeout(0.0)
    return asyncio.run(Member(channel, broker_options).run(partial(_named, debug=args.debug)))


def _named(error: Exception, *, debug: bool) -> Failed | None:
    """What the supervisor says of an error that has a name."""
    from geoweir.app.fleet.wire import Failed
    from geoweir.cli.command import named
    from geoweir.errors import UsageError

    fault = named(error)
    if fault is not None and debug:
        traceback.print_exception(error)
    return None if fault is None else Failed(str(fault), 2 if isinstance(fault, UsageError) else 1)
