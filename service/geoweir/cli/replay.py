"""``geoweir replay``: publishes recorded telemetry as live messages."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from geoweir.mqtt.options import BrokerOptions

__all__ = ["add_parser", "run"]

_EXAMPLE = """\
examples:
  geoweir replay ais.csv.gz --topic 'ais/{id}/position' --speed 60
  geoweir replay ride.gpx --topic 'bus/{id}' --rate 200 --loop
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "replay",
        help="publish recorded telemetry as live messages",
        description="Publishes recordings: CSV, GPX, NMEA logs, GeoJSON, or a line per message;"
        " each may be gzipped. In the time of the records, if no rate is given.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="a recording")
    parser.add_argument("--topic", required=True, metavar="T", help="where to, such as fleet/{id}")
    pace = parser.add_mutually_exclusive_group()
    pace.add_argument(
        "--speed", type=_above_zero, default=1.0, metavar="X", help="times real time (1)"
    )
    pace.add_argument("--rate", type=_above_zero, metavar="N", help="messages a second instead")
    parser.add_argument(
        "--broker",
        default="mqtt://localhost:1883",
        metavar="URL",
        help="mqtt, mqtts, ws or wss (mqtt://localhost:1883)",
    )
    parser.add_argument("--username", metavar="U", help="who we are; the URL may say it too")
    parser.add_argument("--password-file", metavar="F", help="a file that holds the password")
    parser.add_argument("--qos", type=int, choices=(0, 1), default=1, help="1 is acknowledged (1)")
    parser.add_argument("--loop", action="store_true", help="begin again at the end, until Ctrl-C")
    parser.add_argument("--limit", type=_count, metavar="N", help="messages at most")
    parser.add_argument(
        "--id-field", metavar="NAME", help="the column or property that is the device's id"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs the command; 0 when the broker took every message, 1 when it did not."""
    import asyncio
    from pathlib import Path

    from geoweir.cli.progress import progress_for
    from geoweir.cli.publisher import Plan, Publisher

    plan = Plan(
        paths=[Path(name) for name in args.files],
        topic=_topic(args.topic),
        rate=args.rate,
        speed=args.speed,
        qos=args.qos,
        loops=args.loop,
        limit=args.limit,
        id_field=args.id_field,
    )
    options = _broker(args.broker, args.username, args.password_file)
    with progress_for("replay") as progress:
        tally = asyncio.run(Publisher(plan, options, progress).run())
    print(tally)
    return 0 if tally.is_complete else 1


def _topic(text: str) -> str:
    """The template, checked: only ``{id}`` means something here."""
    from geoweir.codec.topics import TopicTemplate
    from geoweir.errors import ConfigurationError, UsageError

    if "{" in text.replace("{id}", ""):
        raise UsageError("--topic: {id} is the only placeholder of a replay.")
    try:
        TopicTemplate.parse(text)
    except ConfigurationError as error:
        raise UsageError(f"--topic: {error}") from None
    return text


def _broker(url: str, username: str | None, password_file: str | None) -> BrokerOptions:
    from pathlib import Path
    from urllib.parse import unquote, urlsplit

    from geoweir.errors import ConfigurationError, UsageError
    from geoweir.mqtt.options import BrokerOptions, TlsFiles

    ports = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UsageError("--broker: the address can't be read.") from None
    if parts.scheme not in ports or not parts.hostname:
        raise UsageError("--broker: write it as mqtt://HOST:PORT, or with mqtts, ws or wss.")
    password = None if parts.password is None else unquote(parts.password)
    if password_file is not None:
        try:
            password = Path(password_file).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError):
            raise ConfigurationError(f"--password-file {password_file}: can't be read.") from None
    return BrokerOptions(
        host=parts.hostname,
        port=port or ports[parts.scheme],
        transport="websockets" if parts.scheme in {"ws", "wss"} else "tcp",
        path=parts.path or "/mqtt",
        tls=TlsFiles() if parts.scheme in {"mqtts", "wss"} else None,
        username=username or (unquote(parts.username) if parts.username else None),
        password=password,
    )


def _above_zero(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:  # noqa: PLR2004 - also refuses NaN
        raise argparse.ArgumentTypeError("a number above 0 is wanted")
    return value


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("a number of 1 or more is wanted")
    return int(text)
