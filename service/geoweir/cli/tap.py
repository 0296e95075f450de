"""``geoweir tap STREAM``: what goes through a running service, a line for each feature.

It watches from outside and holds nothing up: what it is too slow for is left out and counted.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, TextIO
from urllib.parse import urlencode

import msgspec

from geoweir.cli.escaping import escaped

if TYPE_CHECKING:
    from geoweir.cli.asking import Target

__all__ = ["Missed", "Seen", "add_parser", "features", "line", "run"]

_OUTCOMES: Final = ("published", "filtered", "rejected", "reconciled")
_TELL_EVERY_S: Final = 5.0
_PLAIN_CRS: Final = frozenset({"", "EPSG:4326", "OGC:CRS84"})
_LARGEST: Final = 1_000_000_000
_FASTEST: Final = 10_000

_Time = Annotated[float, msgspec.Meta(ge=0, le=253_402_300_799)]  # what a calendar has


class Seen(msgspec.Struct, kw_only=True):
    """An event of ``/api/tap``: features with one outcome, in columns."""

    missed: int
    stream: str
    at: _Time
    outcome: str
    reason: str
    crs: str
    ids: list[str | None]
    topics: list[str]
    x: list[float | None]
    y: list[float | None]
    times: list[_Time | None]


class _End(msgspec.Struct):
    """The last event."""

    why: str
    missed: int


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "tap",
        help="show what goes through a stream of a running service",
        description="Prints a line for each feature as its input gets its outcome: fix time, id, "
        "x, y, outcome and reason. Inputs that no worker saw (pre-filtered, rejected at the door) "
        "have no place. Ends with Ctrl-C, after --limit features, or with the service.",
        epilog="Example: geoweir tap buses --outcome rejected --limit 10",
    )
    parser.add_argument("stream", metavar="STREAM", help="the stream's name")
    parser.add_argument("--outcome", choices=_OUTCOMES, help="only inputs that end so")
    parser.add_argument("--limit", type=_to(_LARGEST), metavar="N", help="end after N features")
    parser.add_argument(
        "--rate", type=_to(_FASTEST), metavar="N", help="features a second at most (1000)"
    )
    parser.add_argument("--json", action="store_true", help="a JSON object a line")
    from geoweir.cli.asking import add_target

    add_target(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    from geoweir.cli.asking import Refused, target_of
    from geoweir.cli.ending import until_enough
    from geoweir.errors import UsageError

    target = target_of(args)
    asked = {"stream": args.stream, "outcome": args.outcome, "limit": args.limit, "rate": args.rate}
    path = "/api/tap?" + urlencode({k: v for k, v in asked.items() if v is not None})
    missed = Missed(sys.stderr)
    try:
        with until_enough():
            _show(target, path, as_json=args.json, missed=missed)
    except Refused as refused:
        if refused.status in {400, 404}:
            raise UsageError(str(refused)) from None
        raise
    missed.tell(is_last=True)
    return 0


class Missed:
    """Says how many features were left out, not too often."""

    def __init__(self, out: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._clock = clock
        self._told_at = clock()
        self._count = 0

    def add(self, count: int) -> None:
        """Counts features that were left out, and says so when it is time."""
        self._count += count
        self.tell()

    def tell(self, *, is_last: bool = False) -> None:
        """Says what was counted since the last time."""
        now = self._clock()
        if self._count and (is_last or now - self._told_at >= _TELL_EVERY_S):
            print(f"tap: {self._count:,} more were not shown", file=self._out, flush=True)
            self._told_at, self._count = now, 0


def _show(target: Target, path: str, *, as_json: bool, missed: Missed) -> None:
    from geoweir.cli.asking import follow
    from geoweir.errors import GeoweirError

    for name, data in follow(target, path):
        kind: type[Seen | _End] = _End if name == "end" else Seen
        try:
            body = msgspec.json.decode(data, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise GeoweirError(f"{target}: it sent what is no event of geoweir's.") from None
        missed.add(body.missed)
        if isinstance(body, _End):
            if body.why != "limit":
                print(f"tap: {escaped(body.why)}", file=sys.stderr)
            return
        for feature in features(body):
            print(_as_json(feature) if as_json else line(feature))
        sys.stdout.flush()
    raise GeoweirError(f"{target}: the connection was lost.")


def _as_json(feature: dict[str, Any]) -> str:
    # ASCII only, so that a terminal finds nothing to act on; DEL is the one that is left.
    return json.dumps(feature).replace("\x7f", "\\u007f")


def features(seen: Seen) -> Iterator[dict[str, Any]]:
    """The features of an event, one by one."""
    shared = {
        "stream": seen.stream,
        "outcome": seen.outcome,
        "reason": seen.reason,
        "crs": seen.crs,
        "at": seen.at,
    }
    columns = zip(seen.times, seen.ids, seen.topics, seen.x, seen.y, strict=False)
    for moment, ident, topic, x, y in columns:
        yield {"time": moment, "id": ident, "x": x, "y": y, "topic": topic, **shared}


def line(feature: dict[str, Any]) -> str:
    """A feature for a person: time, id, x, y, outcome, reason, and what else is needed."""
    ident = "-" if feature["id"] is None else escaped(feature["id"])
    shown = (
        f"{_moment(feature['time']):24} {ident:20} "
        f"{_ordinate(feature['x']):>14} {_ordinate(feature['y']):>14} "
        f"{escaped(feature['outcome']):10}"
    )
    more = [escaped(feature["reason"])] if feature["reason"] else []
    if feature["id"] is None:
        more.append(f"topic={escaped(feature['topic'])}")
    if feature["crs"] not in _PLAIN_CRS:
        more.append(f"crs={escaped(feature['crs'])}")
    return " ".join([shown, *more]).rstrip()


def _moment(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"


def _ordinate(value: float | None) -> str:
    return "-" if value is None else f"{value:.6f}"


def _to(most: int) -> Callable[[str], int]:
    """A type of arguments: a number from 1 to ``most``."""

    def count(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"a number from 1 to {most} is wanted")
        return int(text)

    return count
