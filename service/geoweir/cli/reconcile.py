"""``geoweir reconcile``: the dropped inputs that a service kept, and their way back."""

from __future__ import annotations

import argparse
import base64
import json
import re
import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from geoweir.cli.escaping import escaped
from geoweir.errors import GeoweirError, UsageError

if TYPE_CHECKING:
    from geoweir.cli.keptinputs import AtService, KeptInputs, Wanted

__all__ = ["add_parser", "line", "run"]

_OUTCOMES: Final = ("rejected", "reconciled")
_ID: Final = re.compile(r"[0-9a-f]{4,24}")
_AGAIN_S: Final = 0.2  # between two requests where there was no room
_STUCK_S: Final = 60.0  # without room for so long, something else is wrong
_SHOWN_BYTES: Final = 4096  # of a payload


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "reconcile",
        help="list, show, or send again the dropped inputs that were kept",
        description="Rejected and reconciled inputs are kept with their payload (state.keep). A "
        "running service is asked over HTTP; of a stopped one, list and show read its file.",
        epilog="Example: geoweir reconcile retry -c geoweir.yaml --reason timeout --since 2h",
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    _add_list(actions)
    _add_show(actions)
    _add_retry(actions)


def _add_list(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = actions.add_parser(
        "list",
        help="list them, the longest kept first",
        epilog="Example: geoweir reconcile list -c geoweir.yaml --stream vessels --since 1h",
    )
    _add_filters(parser)
    parser.add_argument("--limit", type=_count, metavar="N", help="end after N of them")
    parser.add_argument("--json", action="store_true", help="a JSON object a line")
    _add_where(parser)
    parser.set_defaults(run=run, act=_list)


def _add_show(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = actions.add_parser(
        "show",
        help="show one with its payload",
        epilog="Example: geoweir reconcile show 3b55 -c geoweir.yaml --raw > payload",
    )
    parser.add_argument("id", metavar="ID", type=_ident, help="its id, or the beginning of it")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--raw", action="store_true", help="the payload alone, byte for byte")
    how.add_argument("--json", action="store_true", help="one JSON object")
    _add_where(parser)
    parser.set_defaults(run=run, act=_show)


def _add_retry(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = actions.add_parser(
        "retry",
        help="send them through again (by a running service)",
        description="Each goes the whole way again as a new input of its stream. What is published "
        "or filtered then is kept no longer; what is dropped again stays, its attempts counted up.",
        epilog="Example: geoweir reconcile retry 3b55 -c geoweir.yaml",
    )
    parser.add_argument(
        "ids", metavar="ID", nargs="*", type=_ident, help="ids, or beginnings of ids"
    )
    _add_filters(parser)
    parser.add_argument("--all", action="store_true", help="everything that is kept")
    parser.add_argument(
        "--wait",
        type=_seconds,
        default=30.0,
        metavar="S",
        help="seconds to wait for the outcomes (30)",
    )
    _add_where(parser)
    parser.set_defaults(run=run, act=_retry)


def _add_filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stream", metavar="NAME", help="of this stream")
    parser.add_argument("--outcome", choices=_OUTCOMES, help="that ended so")
    parser.add_argument("--reason", metavar="R", help="for this reason (docs/outcomes.md)")
    parser.add_argument(
        "--since", type=_moment, metavar="T", help="dropped from then on: 2h, or 2026-11-25T13:00Z"
    )
    parser.add_argument("--until", type=_moment, metavar="T", help="dropped before then")


def _add_where(parser: argparse.ArgumentParser) -> None:
    from geoweir.cli.asking import add_target

    add_target(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    from geoweir.cli.ending import until_enough

    with until_enough():
        return int(args.act(args))
    return 0


def _list(args: argparse.Namespace) -> int:
    shown = 0
    for kept in _readable(args).each(_wanted(args)):
        if args.limit is not None and shown >= args.limit:
            break
        print(_as_json(kept) if args.json else line(kept))
        shown += 1
    if not shown and not args.json:
        print("nothing that fits is kept.", file=sys.stderr)
    return 0


def _show(args: argparse.Namespace) -> int:
    kept = _readable(args).one(args.id)
    payload = base64.b64decode(kept["payload_base64"])
    if args.raw:
        sys.stdout.flush()
        sys.stdout.buffer.write(payload)
    elif args.json:
        print(_as_json(kept))
    else:
        for text in _lines(kept, payload):
            print(text)
    return 0


def _retry(args: argparse.Namespace) -> int:
    wanted = _wanted(args)
    if not (args.ids or wanted.members() or args.all):
        raise UsageError("reconcile retry: name ids, narrow it (--reason, …), or write --all.")
    service = _running(args)
    before = service.state()["retried"]
    taken, skipped = _send_all(service, {**wanted.members(), "ids": args.ids, "all": args.all})
    if args.ids and not taken + skipped:
        raise GeoweirError(f"no kept input has the id {', '.join(args.ids)}.")
    if skipped:
        print(
            f"{skipped} can't go: on their way already, or of a stream that is not configured.",
            file=sys.stderr,
        )
    left = _wait(service, args.wait)
    after = service.state()["retried"]
    became = ", ".join(f"{name} {after[name] - before.get(name, 0)}" for name in after)
    waiting = f", {left} without an outcome yet" if left else ""
    print(f"sent again {taken}: {became}{waiting}")
    return 0


def _send_all(service: AtService, body: dict[str, Any]) -> tuple[int, int]:
    """Asks until everything that is meant is on its way; how many are, and how many can't be."""
    taken = skipped = 0
    moved = time.monotonic()
    while True:
        said = service.send_again(body)
        taken, skipped = taken + said["taken"], skipped + said["skipped"]
        body |= {"after": said["after"], "up_to": said["up_to"]}
        if not said["more"]:
            return taken, skipped
        if said["taken"] or said["skipped"]:
            moved = time.monotonic()
        elif time.monotonic() - moved > _STUCK_S:
            raise GeoweirError(
                f"sent again {taken}, and for {_STUCK_S:.0f} s nothing of it got an outcome. "
                "See geoweir top."
            )
        else:
            time.sleep(_AGAIN_S)


def _wait(service: AtService, seconds: float) -> int:
    """Waits until nothing is on its way; how many still are."""
    deadline = time.monotonic() + seconds
    while (left := int(service.state()["retrying"])) and time.monotonic() < deadline:
        time.sleep(_AGAIN_S)
    return left


def _readable(args: argparse.Namespace) -> KeptInputs:
    """The running service, or the files of a stopped one."""
    from geoweir.cli.asking import Unreachable, target_in, target_of, token_of
    from geoweir.cli.configuration import load_or_explain
    from geoweir.cli.keptinputs import AtService, InFiles, files_of

    if args.config is None:
        return AtService(target_of(args))
    settings = load_or_explain(args.config)
    target = target_in(settings, token_of(args))
    if target is not None:
        service = AtService(target)
        try:
            service.state()
        except Unreachable:
            pass
        else:
            return service
    files = files_of(settings.state.path)
    print(f"read from {', '.join(map(str, files))}", file=sys.stderr)
    return InFiles(files)


def _running(args: argparse.Namespace) -> AtService:
    """The running service: only that can send inputs through.

    Raises:
        GeoweirError: it doesn't run.
    """
    from geoweir.cli.asking import Unreachable, target_of
    from geoweir.cli.keptinputs import AtService

    target = target_of(args)
    service = AtService(target)
    try:
        service.state()
    except Unreachable as error:
        raise GeoweirError(f"{error} Only a running service can send inputs again.") from None
    return service


def _wanted(args: argparse.Namespace) -> Wanted:
    from geoweir.cli.keptinputs import Wanted

    return Wanted(
        stream=args.stream,
        outcome=args.outcome,
        reason=args.reason,
        since=args.since,
        until=args.until,
    )


def line(kept: dict[str, Any]) -> str:
    """A kept input for a person: id, when, stream, outcome and reason, attempts, size, topic."""
    ended = f"{kept['outcome']} {kept['reason']}"
    return (
        f"{escaped(kept['id'])} {_time_text(kept['dropped'])} {escaped(kept['stream']):12} "
        f"{escaped(ended):22} {kept['attempts']:>3}x {kept['bytes']:>8} B  {escaped(kept['topic'])}"
    )


def _lines(kept: dict[str, Any], payload: bytes) -> Iterable[str]:
    yield f"id        {escaped(kept['id'])}"
    yield f"stream    {escaped(kept['stream'])}"
    yield f"topic     {escaped(kept['topic'])}"
    yield f"outcome   {escaped(kept['outcome'])}, {escaped(kept['reason'])}"
    yield f"detail    {escaped(kept['detail'])}"
    yield f"received  {_time_text(kept['received'])}"
    yield f"dropped   {_time_text(kept['dropped'])}"
    yield f"attempts  {kept['attempts']}"
    for name, value in kept["headers"]:
        yield f"header    {escaped(name)}: {escaped(value)}"
    yield f"payload   {len(payload)} bytes"
    if payload:
        yield ""
        yield escaped(payload[:_SHOWN_BYTES].decode("utf-8", "backslashreplace"))
    if len(payload) > _SHOWN_BYTES:
        yield f"… {len(payload) - _SHOWN_BYTES} more bytes: --raw gives all of them"


def _as_json(kept: dict[str, Any]) -> str:
    # ASCII only, so that a terminal finds nothing to act on; DEL is the one that is left.
    return json.dumps(kept).replace("\x7f", "\\u007f")


def _time_text(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"


def _moment(text: str) -> float:
    """A type of arguments: a time ago such as 2h, or a moment in ISO 8601."""
    from geoweir.settings.units import UnitError, read_duration

    try:
        return max(0.0, time.time() - read_duration(text))
    except UnitError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            "a time ago such as 2h, or a moment such as 2026-11-25T13:00Z is wanted"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _ident(text: str) -> str:
    if not _ID.fullmatch(text.lower()):
        raise argparse.ArgumentTypeError("24 hex digits, or 4 or more of the first, are wanted")
    return text.lower()


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:10]) <= 10**9):
        raise argparse.ArgumentTypeError("a number from 1 on is wanted")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 86_400:  # noqa: PLR2004 - a day
        raise argparse.ArgumentTypeError("seconds from 0 to 86400 are wanted")
    return value
