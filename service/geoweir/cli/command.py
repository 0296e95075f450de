"""The command line: finds the command, and turns errors into one clear line and an exit status.

Exit status: 0 done, 1 failed, 2 wrong usage or configuration. This module imports nothing heavy:
worker processes import it again, and ``healthcheck`` must start in an instant.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Final

from geoweir.errors import GeoweirError, UsageError

__all__ = ["main", "named"]

#: Each command's module in this package: ``add_parser(subparsers)`` and ``run(args) -> int``.
_COMMANDS: Final = (
    "run",
    "check",
    "compile",
    "layer",
    "demo",
    "replay",
    "audit",
    "bench",
    "tap",
    "top",
    "reconcile",
    "schema",
)
#: What ``run`` becomes and starts; no help shows them.
_INNER: Final = ("serve", "supervise", "member", "prepare")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["healthcheck"]:
        from geoweir.web import healthcheck

        return healthcheck.main(arguments[1:])
    parser = _parser(arguments)
    args = parser.parse_args(arguments)
    try:
        return int(args.run(args))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has enough of it; at its end the interpreter flushes into nothing.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        fault = named(error)
        if fault is None or args.debug:
            raise
        print(f"geoweir: {fault}", file=sys.stderr)
        return 2 if isinstance(fault, UsageError) else 1


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="geoweir",
        description="MQTT stream processing for spatial telemetry: nothing is lost unnamed.",
        epilog="Example: geoweir run -c geoweir.yaml",
    )
    parser.add_argument("--version", action="version", version=f"geoweir {version('geoweir')}")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    # Only the command that was asked for is imported; help shows them all.
    asked = [name for name in (*_COMMANDS, *_INNER) if name in arguments[:2]]
    for name in asked or _COMMANDS:
        import_module(f"geoweir.cli.{name}").add_parser(commands)
    if not asked or "healthcheck" in arguments:
        _add_healthcheck(commands)
    return parser


def _add_healthcheck(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    commands.add_parser(
        "healthcheck",
        help="exit 0 when the service is live",
        description="Asks /healthz of a running service; for container health checks.",
    )


def named(error: BaseException) -> GeoweirError | OSError | None:
    """The error of ours in a group of one kind, or None for a fault in geoweir itself."""
    if isinstance(error, GeoweirError):
        return error
    if isinstance(error, BaseExceptionGroup):
        found = [named(inner) for inner in error.exceptions]
        return found[0] if found and all(found) else None
    return None
