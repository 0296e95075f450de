"""``geoweir demo``: the whole service on an embedded broker, fed with a city's buses."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from geoweir.app.service import Service
    from geoweir.demo.broker import EmbeddedBroker
    from geoweir.settings.values import Settings

__all__ = ["add_parser", "run"]

_LINE_EVERY_S: Final = 5.0


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "demo",
        help="run the whole service with a city's buses",
        description="Runs the whole service on an embedded broker, fed with buses on the real "
        "routes of Cairns, and shows the account. Ends with the account as one line of JSON; exit "
        "1 when it does not balance.",
        epilog="Example: geoweir demo --duration 20 --no-browser",
    )
    parser.add_argument("--port", type=int, default=9108, metavar="N", help="HTTP port (9108)")
    parser.add_argument("--duration", type=float, metavar="S", help="end after so many seconds")
    parser.add_argument("--no-browser", action="store_true", help="open no browser")
    parser.add_argument("--rate", type=float, default=200.0, metavar="R", help="messages/s (200)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    account = asyncio.run(_demo(args))
    print(json.dumps(account), flush=True)
    published = sum(stream["published"] for stream in account["streams"].values())
    return 0 if account["unaccounted"] == 0 and published else 1


async def _demo(args: argparse.Namespace) -> dict[str, Any]:
    from geoweir.demo.broker import embedded_broker
    from geoweir.telemetry.log import configure

    configure("warning", "text")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with embedded_broker() as broker:
        print(f"broker: {broker.name} {broker.version} on {broker.host}:{broker.port}", flush=True)
        return await _serve(args, broker, stop)


async def _serve(
    args: argparse.Namespace, broker: EmbeddedBroker, stop: asyncio.Event
) -> dict[str, Any]:
    from geoweir.app.service import Service
    from geoweir.cli.configuration import broker_options
    from geoweir.demo.config import ABOUT, DATA_DIR, demo_yaml
    from geoweir.demo.feed import run_feed

    with tempfile.TemporaryDirectory(prefix="geoweir-demo-") as folder:
        text = demo_yaml(broker.url, args.port, protocol=broker.protocol)
        settings = _load(Path(folder, "demo.yaml"), text)
        options = broker_options(settings.mqtt)
        service = Service(settings, options, notice=ABOUT)
        ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        fed, ended = asyncio.Event(), asyncio.Event()

        async def feed() -> None:
            url = await ready
            print(f"live: {url}/  (Ctrl-C ends it)", flush=True)
            if not args.no_browser:
                await asyncio.to_thread(_open, url)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(args.duration):
                    await _until_stopped(
                        stop, run_feed(options, data_dir=DATA_DIR, rate=args.rate), _show(service)
                    )
            fed.set()

        async with asyncio.TaskGroup() as tasks:
            feeding = tasks.create_task(feed(), name="demo-feed")
            tasks.create_task(_end(stop, fed, ended), name="demo-end")
            await service.run(ended, ready.set_result)
            feeding.cancel()
        return service.account()


async def _until_stopped(stop: asyncio.Event, *work: Any) -> None:  # noqa: ANN401 - coroutines
    """Runs the work until ``stop``; a fault in it ends it."""
    tasks = [asyncio.ensure_future(one) for one in work]
    stopped = asyncio.ensure_future(stop.wait())
    try:
        done, _ = await asyncio.wait([*tasks, stopped], return_when=asyncio.FIRST_COMPLETED)
        for task in done - {stopped}:
            task.result()
    finally:
        for task in (*tasks, stopped):
            task.cancel()
        await asyncio.gather(*tasks, stopped, return_exceptions=True)


async def _end(stop: asyncio.Event, fed: asyncio.Event, ended: asyncio.Event) -> None:
    """Ends the service when the feed has ended, or when somebody stops it before it began."""
    waiting = [asyncio.ensure_future(stop.wait()), asyncio.ensure_future(fed.wait())]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    ended.set()


async def _show(service: Service) -> None:
    """Shows the account: one line that changes on a terminal, a line now and then elsewhere."""
    is_terminal = sys.stdout.isatty()
    while True:
        await asyncio.sleep(1.0 if is_terminal else _LINE_EVERY_S)
        account = service.account()
        totals = {
            key: sum(stream[key] for stream in account["streams"].values())
            for key in ("received", "published", "filtered", "rejected", "reconciled", "in_flight")
        }
        balance = "balanced ✓" if account["unaccounted"] == 0 else "DOES NOT BALANCE"
        text = "  ".join(f"{key.replace('_', ' ')} {n:,}" for key, n in totals.items())
        line = f"{text}  unaccounted {account['unaccounted']}  {balance}"
        if is_terminal:
            print(f"\r\x1b[K{line}", end="", flush=True)
        else:
            print(line, flush=True)


def _load(path: Path, text: str) -> Settings:
    """Settings by the same way as a user's, by a file."""
    from geoweir.cli.configuration import load_or_explain

    path.write_text(text, encoding="utf-8")
    return load_or_explain(str(path))


def _open(url: str) -> None:
    import webbrowser

    with contextlib.suppress(webbrowser.Error):
        webbrowser.open(url)
