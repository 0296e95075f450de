"""What every measurement's command shares: its folder, its report as JSON, its one-line errors."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

from errors import MissingError
from machine import describe

__all__ = ["add_json", "folder_of_run", "header", "keep", "main_of", "positive"]

_RESULTS: Final = Path(__file__).resolve().parent / "results"
_Number = TypeVar("_Number", int, float)


def header(**more: Any) -> dict[str, Any]:  # noqa: ANN401 - becomes JSON
    """The beginning of a report: when, where, with which versions."""
    return {**describe(), **more}


@contextlib.contextmanager
def folder_of_run() -> Iterator[Path]:
    """A folder for everything that a run writes, gone with it."""
    with tempfile.TemporaryDirectory(prefix="geoweir-bench-") as top:
        yield Path(top)


def add_json(parser: argparse.ArgumentParser, name: str) -> None:
    """Adds ``--json``, which has a default of its own."""
    parser.add_argument(
        "--json",
        type=Path,
        default=_RESULTS / f"{name}.json",
        metavar="FILE",
        help=f"where the whole report goes (bench/results/{name}.json)",
    )


def keep(report: dict[str, Any], path: Path) -> None:
    """Writes a report and says where."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(f"report: {path}", file=sys.stderr)


def positive(kind: type[_Number]) -> Callable[[str], _Number]:
    """For argparse: a number above zero."""

    def parse(text: str) -> _Number:
        value = kind(text)
        if not value > 0:
            raise argparse.ArgumentTypeError(f"{text} is not above 0")
        return value

    parse.__name__ = kind.__name__  # argparse names it in its errors
    return parse


def main_of(name: str, main: Callable[[], int]) -> int:
    """The exit status of a command; what is missing is one line."""
    try:
        return main()
    except MissingError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
