"""``geoweir bench``: what this gateway carries with a configuration, and settings that suit it."""

from __future__ import annotations

import argparse
import asyncio
import signal
import tempfile
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from geoweir.demo.broker import Kind
    from geoweir.settings.values import Settings
    from geoweir.sizing.bench import Inputs
    from geoweir.sizing.report import Report
    from geoweir.sizing.sources import Recorded

__all__ = ["add_parser", "run"]

_T = TypeVar("_T")

_EXAMPLE: Final = """\
examples:
  geoweir bench
  geoweir bench -c geoweir.yaml --duration 120
  geoweir bench -c geoweir.yaml --sample vessels=ais.jsonl
"""
_KINDS: Final[dict[str, Kind | None]] = {
    "auto": None,
    "mosquitto": "mosquitto",
    "embedded": "iotcore",
}
_SHORTEST_S: Final = 5.0
_LONGEST_S: Final = 3600.0
_DURATION_S: Final = 60.0
_MOST_RECORDS: Final = 20_000
_MOST_BYTES: Final = 64_000_000  # of a recording's payloads
#: The demo's configuration names a broker, and the bench takes another one.
_NOBODY: Final = "mqtt://127.0.0.1:1883"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "bench",
        help="measure what this gateway carries, and suggest settings",
        description="Measures what this gateway carries with a configuration (messages/s, latency,"
        " CPU, memory), at a broker of its own on loopback: yours is not touched. Ends with lines"
        " for the configuration. Without -c it takes the demo's configuration and data. Exit 1 when"
        " an account does not balance.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-c", "--config", metavar="FILE", help="the configuration")
    parser.add_argument(
        "--duration",
        type=_duration,
        default=_DURATION_S,
        metavar="S",
        help=f"seconds in all, about ({_DURATION_S:g})",
    )
    parser.add_argument(
        "--broker",
        choices=tuple(_KINDS),
        default="auto",
        help="auto: a good mosquitto, else the one of the package's extra demo",
    )
    parser.add_argument(
        "--sample",
        action="append",
        default=[],
        metavar="[STREAM=]FILE",
        help="recorded inputs for a stream instead of made-up ones: a line each, a GeoJSON text"
        " sequence, or what else `replay` reads; may be repeated",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs the command; 0 when every account balanced."""
    with tempfile.TemporaryDirectory(prefix="geoweir-bench-") as folder:
        config = args.config or _write_demo(Path(folder))
        settings = _load(config)
        inputs = _inputs(settings, args.sample, is_demo=args.config is None)
        report = _interruptible(_measure(args, settings, config, inputs))
    print(report.json() if args.json else report.text())
    return 1 if report.findings.faults() else 0


def _write_demo(folder: Path) -> str:
    from geoweir.demo.config import demo_yaml

    path = folder / "demo.yaml"
    path.write_text(demo_yaml(_NOBODY, 0), encoding="utf-8")
    return str(path)


def _load(config: str) -> Settings:
    from geoweir.cli.configuration import load_or_explain

    return load_or_explain(config)


def _inputs(settings: Settings, samples: Sequence[str], *, is_demo: bool) -> Inputs:
    from geoweir.sizing.bench import Inputs, make_inputs
    from geoweir.sizing.democity import demo_sources

    if is_demo and not samples:
        return Inputs(demo_sources(settings), {})
    read = dict(_sample(settings, text) for text in samples)
    return make_inputs(settings, read)


def _sample(settings: Settings, text: str) -> tuple[str, tuple[str, list[Recorded]]]:
    """A stream and what was recorded of it."""
    from geoweir.errors import UsageError

    names = [stream.name for stream in settings.streams]
    stream, found, file = text.partition("=")
    if not found or stream not in names:
        if len(names) > 1:
            known = ", ".join(names)
            raise UsageError(f"--sample {text}: write STREAM=FILE with one of {known}.")
        stream, file = names[0], text
    return stream, (file, _read(Path(file)))


def _read(path: Path) -> list[Recorded]:
    """The first inputs of a recording."""
    from geoweir.cli.recordings import Record, Recording
    from geoweir.errors import UsageError
    from geoweir.sizing.sources import Recorded

    found: list[Recorded] = []
    size = 0
    for record in Recording(path).read():
        if isinstance(record, Record):
            found.append(Recorded(record.id, record.payload))
            size += len(record.payload)
        if len(found) >= _MOST_RECORDS or size >= _MOST_BYTES:
            break
    if not found:
        raise UsageError(f"--sample {path}: there is no input in it.")
    return found


async def _measure(
    args: argparse.Namespace, settings: Settings, config: str, inputs: Inputs
) -> Report:
    from geoweir.cli.progress import progress_for
    from geoweir.sizing.bench import measure
    from geoweir.telemetry.log import configure

    configure("error", "text")
    with progress_for("bench") as progress:
        for name, why in inputs.left_out.items():
            progress.say(f"stream {name} is left out: {why}")
        return await measure(
            settings,
            config,
            inputs,
            kind=_KINDS[args.broker],
            seconds=args.duration,
            progress=progress,
        )


def _interruptible(work: Coroutine[object, object, _T]) -> _T:
    """Runs work that ends its children when SIGINT or SIGTERM comes."""

    async def watched() -> _T:
        # asyncio makes a cancellation of SIGINT; SIGTERM shall be the same.
        task = asyncio.current_task()
        if task is not None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await work

    try:
        return asyncio.run(watched())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def _duration(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not _SHORTEST_S <= value <= _LONGEST_S:
        raise argparse.ArgumentTypeError(f"{_SHORTEST_S:g} to {_LONGEST_S:g} seconds are wanted")
    return value
