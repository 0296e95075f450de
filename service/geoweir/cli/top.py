"""``geoweir top``: the account, streams and workers of a running service, live."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from geoweir.cli.asking import Target
    from geoweir.cli.readings import Reading, View

__all__ = ["add_parser", "run"]

#: From the top left corner, each line cleared behind its end, nothing left below: no flicker.
_HOME: Final = "\x1b[H"
_END_OF_LINE: Final = "\x1b[K\n"
_BELOW: Final = "\x1b[J"
_CLEAR: Final = "\x1b[2J"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "top",
        help="show the account, streams and workers of a running service, live",
        description="Shows rates and latencies between two readings, the account, and each "
        "worker, until Ctrl-C. Where the output is no terminal, plain lines.",
        epilog="Example: geoweir top --once --json",
    )
    parser.add_argument("--once", action="store_true", help="show it once and end")
    parser.add_argument("--json", action="store_true", help="a JSON object a line")
    parser.add_argument(
        "--interval", type=_seconds, default=1.0, metavar="S", help="between two readings (1)"
    )
    from geoweir.cli.asking import add_target

    add_target(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    from geoweir.cli.asking import target_of
    from geoweir.cli.ending import until_enough
    from geoweir.cli.readings import view

    target = target_of(args)
    show = _as_json if args.json else _as_panel if sys.stdout.isatty() else _as_lines
    if show is _as_panel and not args.once:
        show = _over_the_last
        print(_CLEAR, end="")
    with until_enough():
        before = _read(target)
        while True:
            time.sleep(args.interval)
            now = _read(target)
            show(view(before, now), target)
            sys.stdout.flush()
            if args.once:
                break
            before = now
    return 0


def _read(target: Target) -> Reading:
    import msgspec

    from geoweir.cli.asking import ask
    from geoweir.cli.readings import decode
    from geoweir.errors import GeoweirError

    try:
        return decode(ask(target, "/api/state"))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise GeoweirError(f"{target}: what answers there is no geoweir of this kind.") from None


def _as_json(shown: View, target: Target) -> None:
    import json

    import msgspec

    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    print(json.dumps({"at": at, "url": str(target), **msgspec.to_builtins(shown)}))


def _as_panel(shown: View, target: Target) -> None:
    print("\n".join(_panel(shown, target)))


def _over_the_last(shown: View, target: Target) -> None:
    lines = _panel(shown, target)
    print(_HOME + "".join(text + _END_OF_LINE for text in lines) + _BELOW, end="")


def _panel(shown: View, target: Target) -> list[str]:
    from geoweir.cli.panel import panel

    width, height = shutil.get_terminal_size()
    return panel(shown, str(target), width, height - 1)


def _as_lines(shown: View, _target: Target) -> None:
    from geoweir.cli.panel import plain

    at = datetime.now(UTC).isoformat(timespec="seconds")
    for text in plain(shown):
        print(f"{at} {text}")


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.1 <= value <= 3600:  # noqa: PLR2004 - also refuses NaN
        raise argparse.ArgumentTypeError("seconds from 0.1 to 3600 are wanted")
    return value
