"""``geoweir audit``: the account as it looks from outside, beside the one the service reports.

Follows the input and output topics with a client of its own. Results are counted by their key, so
that a repeat is a repeat. A retried input is received again without a message on its topic: inputs
seen and inputs retried make up what was received. Each way through the path is one more outcome; a
rejection that is told again has an equal key. What began before the audit, or ends after it, shows
as a difference that a longer audit makes small.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from geoweir.core.lane import Batch
    from geoweir.core.spec import StreamSpec
    from geoweir.settings.values import Settings

__all__ = ["Seen", "add_parser", "run"]

_SETTLE_S: Final = 1.0
_KEYS: Final = 1_000_000
_LINKS_S: Final = 10.0


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "audit",
        help="compare the service's account with what the topics show",
        description="Follows the topics from outside and prints, for each stream, what was seen "
        "beside what the service reports for the same time. Exit 1 when the service's own account "
        "does not balance.",
        epilog="Example: geoweir audit -c geoweir.yaml --duration 60",
    )
    parser.add_argument("-c", "--config", required=True, metavar="FILE", help="the configuration")
    parser.add_argument("--duration", type=float, metavar="S", help="end after so many seconds")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    from geoweir.cli.configuration import load_or_explain

    settings = load_or_explain(args.config)
    report = asyncio.run(_audit(settings, args.duration))
    if args.json:
        print(json.dumps(report))
    else:
        _print(report)
    return 0 if report["unaccounted"] == 0 else 1


class Seen:
    """What was seen of one stream's topics."""

    def __init__(self) -> None:
        self.inputs = 0
        self.results = 0
        self.repeats = 0
        self.rejected = 0
        self.rejected_repeats = 0
        self.reconciled = 0
        self._keys: set[str] = set()

    def take(self, kind: str, batch: Batch) -> None:
        """Counts a batch of messages of one kind of topic."""
        for payload, headers in zip(batch.payloads, batch.headers, strict=True):
            if payload == b'{"geoweir":"canary"}':
                continue
            match kind:
                case "inputs":
                    self.inputs += 1
                case "publish":
                    if self._is_repeat(dict(headers).get("geoweir-key") or _key_in(payload)):
                        self.repeats += 1
                    else:
                        self.results += 1
                case "rejected":
                    self.rejected += 1
                    self.rejected_repeats += self._is_repeat(dict(headers).get("geoweir-key"))
                case _:
                    self.reconciled += _inputs_in(payload)

    def _is_repeat(self, key: str | None) -> bool:
        """Whether a message came before; beyond so many keys nobody can tell."""
        if key is None or (key not in self._keys and len(self._keys) >= _KEYS):
            return False
        is_known = key in self._keys
        self._keys.add(key)
        return is_known

    def report(self) -> dict[str, int]:
        """The counts."""
        return {
            "inputs": self.inputs,
            "results": self.results,
            "repeats": self.repeats,
            "rejected": self.rejected,
            "rejected_repeats": self.rejected_repeats,
            "reconciled": self.reconciled,
        }


async def _audit(settings: Settings, duration: float | None) -> dict[str, Any]:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    seen = {stream.name: Seen() for stream in settings.streams}
    links = _Links(4 * len(seen))
    async with asyncio.TaskGroup() as tasks:
        followers = [
            tasks.create_task(_follow(settings, stream, kind, filters, seen[stream.name], links))
            for stream in settings.streams
            for kind, filters in _filters(stream).items()
        ]
        before = await asyncio.to_thread(_account, settings)
        if await links.wait(stop):
            print("geoweir audit follows the topics now", file=sys.stderr, flush=True)
        try:
            async with asyncio.timeout(duration):
                await stop.wait()
        except TimeoutError:
            pass
        await asyncio.sleep(_SETTLE_S)
        after = await asyncio.to_thread(_account, settings)
        for follower in followers:
            follower.cancel()
    return {
        "streams": {
            name: {
                "seen": seen[name].report(),
                "reported": _difference(before["streams"][name], after["streams"][name]),
            }
            for name in seen
        },
        "unaccounted": after["unaccounted"],
    }


class _Links:
    """Counts the subscriptions that stand."""

    def __init__(self, due: int) -> None:
        self._missing = due
        self._all = asyncio.Event()

    def note(self, *, up: bool, why: str) -> None:
        """One came, or came again; a lost one shows in the counts."""
        del why
        self._missing -= up
        if self._missing <= 0:
            self._all.set()

    async def wait(self, stop: asyncio.Event) -> bool:
        """Until all stand, or the end is asked for, or too long; whether all stand."""
        either = [asyncio.ensure_future(event.wait()) for event in (self._all, stop)]
        await asyncio.wait(either, timeout=_LINKS_S, return_when=asyncio.FIRST_COMPLETED)
        for one in either:
            one.cancel()
        return self._all.is_set()


async def _follow(
    settings: Settings,
    stream: StreamSpec,
    kind: str,
    filters: list[str],
    seen: Seen,
    links: _Links,
) -> None:
    from geoweir.cli.configuration import broker_options
    from geoweir.core.lane import Batch
    from geoweir.mqtt.inlet import MqttInlet

    inlet = MqttInlet(
        lane=kind,
        client_id=f"{settings.mqtt.client_id}-audit-{stream.name}-{kind}",
        options=broker_options(settings.mqtt),
        filters=filters,
        qos=1,
        window=10_000,
        window_bytes=32_000_000,
        on_link=links.note,
        session_expiry_s=0,
    )
    running = asyncio.ensure_future(inlet.run())
    try:
        async for event in inlet.batches():
            if isinstance(event, Batch):
                seen.take(kind, event)
                inlet.settle(event.lane, event.epoch, event.first + len(event) - 1)
    finally:
        await inlet.disconnect()
        await asyncio.wait([running], timeout=2)


def _filters(stream: StreamSpec) -> dict[str, list[str]]:
    return {
        "inputs": [_unshared(text) for text in stream.subscribe],
        "publish": [_filter(stream.publish.topic, stream.name)],
        "rejected": [_filter(stream.rejected.topic, stream.name)],
        "reconcile": [_filter(stream.reconcile.topic, stream.name)],
    }


def _unshared(text: str) -> str:
    # Joining the group would take messages away from the service.
    return text.split("/", 2)[2] if text.startswith("$share/") else text


def _filter(template: str, stream: str) -> str:
    levels = template.replace("{stream}", stream).split("/")
    return "/".join("+" if "{" in level else level for level in levels)


def _account(settings: Settings) -> dict[str, Any]:
    import urllib.error
    import urllib.request

    from geoweir.errors import GeoweirError

    http = settings.http
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(http.host, http.host)  # noqa: S104
    url = f"http://{host}:{http.port}/api/account"
    headers = {"Authorization": f"Bearer {http.token}"} if http.token else {}
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
            account: dict[str, Any] = json.load(answer)
    except (urllib.error.URLError, TimeoutError, ValueError) as error:
        why = getattr(getattr(error, "reason", None), "strerror", None) or error
        raise GeoweirError(
            f"{url}: {why}. Start the service with this configuration first."
        ) from None
    return account


def _difference(before: dict[str, Any], after: dict[str, Any]) -> dict[str, int]:
    moving = (
        *("received", "published", "filtered", "rejected", "reconciled"),
        *("redelivered", "retried", "missing"),
    )
    # An older service says less.
    difference = {key: after.get(key, 0) - before.get(key, 0) for key in moving}
    return {**difference, "in_flight": after["in_flight"]}


def _key_in(payload: bytes) -> str | None:
    try:
        key = json.loads(payload)["geoweir"]["key"]
    except (ValueError, KeyError, TypeError):
        return None
    return key if isinstance(key, str) else None


def _inputs_in(payload: bytes) -> int:
    try:
        inputs = json.loads(payload)["inputs"]
    except (ValueError, KeyError, TypeError):
        return 0
    return len(inputs) if isinstance(inputs, list) else 0


def _print(report: dict[str, Any]) -> None:
    for name, both in report["streams"].items():
        print(f"stream {name}")
        rows = (
            ("inputs", both["seen"]["inputs"], "received", both["reported"]["received"]),
            ("results", both["seen"]["results"], "published", both["reported"]["published"]),
            ("rejected", both["seen"]["rejected"], "rejected", both["reported"]["rejected"]),
            (
                "reconciled",
                both["seen"]["reconciled"],
                "reconciled",
                both["reported"]["reconciled"],
            ),
            ("repeats", both["seen"]["repeats"], "redelivered", both["reported"]["redelivered"]),
            (
                "told again",
                both["seen"]["rejected_repeats"],
                "retried",
                both["reported"]["retried"],
            ),
            ("", "", "missing", both["reported"]["missing"]),
            ("", "", "filtered", both["reported"]["filtered"]),
            ("", "", "in flight", both["reported"]["in_flight"]),
        )
        for seen, n, reported, m in rows:
            left = f"{seen} seen {n:,}" if seen else ""
            print(f"  {left:<24} | {reported} {m:,}")
    print(f"unaccounted {report['unaccounted']}")
