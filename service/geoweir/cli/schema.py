"""``geoweir schema``: the configuration's JSON Schema, for editors."""

from __future__ import annotations

import argparse
import json

__all__ = ["add_parser", "run"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "schema",
        help="print the configuration's JSON Schema",
        description="Prints the configuration's JSON Schema, for editors.",
        epilog="Example: geoweir schema > geoweir.schema.json",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    del args
    from geoweir.settings.schema import json_schema

    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))
    return 0
