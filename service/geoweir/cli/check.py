"""``geoweir check``: everything that ``run`` would need, without starting anything."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from geoweir.settings.faults import Fault
    from geoweir.settings.values import Settings

__all__ = ["add_parser", "run"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "check",
        help="check a configuration",
        description="Checks everything that `run` would need, names every fault, and shows the "
        "plan. Exit 0 when `run` would start (warnings count with --strict), else 2.",
        epilog="Example: geoweir check -c geoweir.yaml --connect",
    )
    parser.add_argument("-c", "--config", required=True, metavar="FILE", help="the configuration")
    parser.add_argument("--connect", action="store_true", help="also try the broker")
    parser.add_argument("--strict", action="store_true", help="make warnings errors")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    from geoweir.settings.faults import in_order
    from geoweir.settings.load import load

    loaded = load(Path(args.config), dict(os.environ))
    faults = list(loaded.faults)
    errors = [fault for fault in faults if fault.severity == "error"]
    settings = None if errors else loaded.settings
    layers: list[str] = []
    if settings is not None and loaded.document is not None:
        from geoweir.cli.trying import try_worker

        tried = try_worker(settings, loaded.document)
        layers, errors = tried.layers, tried.faults
        faults = in_order([*faults, *errors])
    trial: list[tuple[str, str]] = []
    if settings is not None and args.connect:
        from geoweir.cli.connecting import try_broker

        trial = asyncio.run(try_broker(settings))
    failed = any(level == "error" for level, _ in trial)
    warnings = len(faults) - len(errors) + sum(1 for level, _ in trial if level == "warning")
    is_fine = not errors and not failed and not (args.strict and warnings)
    if args.format == "json":
        _print_json(faults, trial, is_fine=is_fine)
    else:
        _print_text(faults, trial, settings if not errors else None, layers)
        broker = "not tried; --connect" if not args.connect else "failed" if failed else "answered"
        _print_summary(len(errors), warnings, broker, is_fine=is_fine)
    if is_fine:
        return 0
    return 1 if failed and not errors else 2


def _print_json(faults: list[Fault], trial: list[tuple[str, str]], *, is_fine: bool) -> None:
    report = {
        "ok": is_fine,
        "faults": [fault.json_form() for fault in faults],
        "connect": [{"severity": level, "message": text} for level, text in trial],
    }
    print(json.dumps(report, indent=2, ensure_ascii=False))


def _print_text(
    faults: list[Fault],
    trial: list[tuple[str, str]],
    settings: Settings | None,
    layers: list[str],
) -> None:
    from geoweir.cli.configuration import show

    for fault in faults:
        show(fault)
    for level, text in trial:
        print(f"broker: {level}: {text}", file=sys.stderr if level == "error" else sys.stdout)
    if settings is not None:
        from geoweir.settings.plan import plan

        for line in (*plan(settings), *layers):
            print(line)


def _print_summary(errors: int, warnings: int, broker: str, *, is_fine: bool) -> None:
    print(
        f"{errors} error{'' if errors == 1 else 's'}, "
        f"{warnings} warning{'' if warnings == 1 else 's'}, broker {broker}. "
        f"{'Ready to run.' if is_fine else 'Nothing was started.'}"
    )
