"""Publishes the fleet and the recorded receivers, as devices in the field would.

Fixes leave at an even rate by the monotonic clock, the buses in turn. What the broker does not
take in time is not made up for: a device would send its next fix, not its last ones.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from itertools import cycle
from typing import TYPE_CHECKING, Any, Final

import orjson

from geoweir.demo.fleet import Fix, Fleet
from geoweir.demo.receiver import ReceiverFix, read_fixes
from geoweir.mqtt.outlet import MqttOutlet
from geoweir.ports import Outgoing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from geoweir.mqtt.options import BrokerOptions

__all__ = ["DEFAULT_RATE", "BusRound", "RecordedReceiver", "bus_message", "run_feed"]

DEFAULT_RATE: Final = 200.0  # buses' messages a second
_TICK_S: Final = 0.05
_LONGEST_CATCH_UP_S: Final = 0.5  # of messages, after the loop or the broker was busy
_MOST_UNANSWERED: Final = 2_000_000  # bytes; beyond, nothing is sent until the broker answers
_WINDOW: Final = 100  # publishes under way
_RECEIVER_REST_S: Final = 5.0  # between the end of a log and its next turn


class BusRound:
    """Takes the buses on the road in turn."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._waiting: list[int] = []

    def take(self, count: int, seconds: float) -> list[Fix]:
        """The fixes of the next so many buses.

        Args:
            count: how many.
            seconds: since the start of the demo.
        """
        fixes: list[Fix] = []
        for _ in range(count):
            if not self._waiting:
                self._waiting = self._fleet.active(seconds)[::-1]
            fixes.append(self._fleet.fix(self._waiting.pop(), seconds))
        return fixes


class RecordedReceiver:
    """A log that is played in its own time, again and again, under today's date.

    Args:
        name: the device's id.
        fixes: in the order of the log, at least one.
        started_at: the Unix time at 0 seconds.
    """

    def __init__(self, name: str, fixes: list[ReceiverFix], started_at: float) -> None:
        self.name = name
        self._started_at = started_at
        self._due = _endless(fixes)
        self._next = next(self._due)

    def take(self, seconds: float) -> list[Outgoing]:
        """The messages that are due since the last call."""
        messages = []
        while self._next[0] <= seconds:
            messages.append(self._message(*self._next))
            self._next = next(self._due)
        return messages

    def _message(self, seconds: float, fix: ReceiverFix) -> Outgoing:
        properties = {
            "speed": None if fix.speed_ms is None else round(fix.speed_ms, 2),
            "course": fix.course,
            "time": _iso(self._started_at + seconds),
            "recorded": _iso(fix.time),
        }
        return _feature(f"demo/receivers/{self.name}", self.name, fix.lon, fix.lat, properties)


def bus_message(fix: Fix) -> Outgoing:
    """A bus's fix as a GeoJSON Feature on ``demo/buses/{id}``; speed in m/s, QoS 1."""
    properties = {
        "route": fix.route,
        "speed": round(fix.speed_ms, 1),
        "course": round(fix.course, 1),
        "time": _iso(fix.time),
    }
    return _feature(f"demo/buses/{fix.id}", fix.id, fix.lon, fix.lat, properties)


async def run_feed(
    options: BrokerOptions, data_dir: Path, *, rate: float = DEFAULT_RATE, seed: int = 1
) -> None:
    """Publishes until cancelled; what the broker has not answered then is left behind.

    Args:
        options: the broker; a lost connection is made again.
        data_dir: the demo's data.
        rate: messages a second of the buses together, above 0.
        seed: of the receivers' noise.
    """
    started_at = time.time()
    fleet, receivers = await asyncio.to_thread(_load, data_dir, seed, started_at)
    outlet = MqttOutlet(
        client_id="geoweir-demo-feed",
        options=options,
        window=_WINDOW,
        on_link=_say_nothing,
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(outlet.run(), name="demo-feed-outlet")
        await _publish(outlet, BusRound(fleet), receivers, rate)


def _say_nothing(*, up: bool, why: str) -> None:
    """The service says what happens to the broker."""


def _load(data_dir: Path, seed: int, started_at: float) -> tuple[Fleet, list[RecordedReceiver]]:
    logs = {path.name.split(".")[0]: path for path in sorted(data_dir.glob("*.nmea.gz"))}
    return (
        Fleet.load(data_dir, seed=seed, started_at=started_at),
        [RecordedReceiver(name, read_fixes(path), started_at) for name, path in logs.items()],
    )


async def _publish(
    outlet: MqttOutlet, buses: BusRound, receivers: list[RecordedReceiver], rate: float
) -> None:
    clock = asyncio.get_running_loop().time
    begin = last = clock()
    owed = 0.0
    while True:
        await asyncio.sleep(_TICK_S)
        now = clock()
        owed = min(owed + (now - last) * rate, max(rate * _LONGEST_CATCH_UP_S, 1.0))
        last = now
        due = [message for receiver in receivers for message in receiver.take(now - begin)]
        if outlet.backlog_bytes > _MOST_UNANSWERED:
            continue
        due += [bus_message(fix) for fix in buses.take(int(owed), now - begin)]
        owed -= int(owed)
        outlet.send(due)


def _endless(fixes: list[ReceiverFix]) -> Iterator[tuple[float, ReceiverFix]]:
    """Seconds since the start and fix, for ever; a clock that steps back in a log stands still."""
    seconds, before = -_RECEIVER_REST_S, fixes[0].time
    for index, fix in cycle(enumerate(fixes)):
        seconds += max(fix.time - before, 0.0) if index else _RECEIVER_REST_S
        before = fix.time
        yield seconds, fix


def _feature(
    topic: str, ident: str, lon: float, lat: float, properties: dict[str, Any]
) -> Outgoing:
    payload = orjson.dumps(
        {
            "type": "Feature",
            "id": ident,
            "geometry": {"type": "Point", "coordinates": [round(lon, 6), round(lat, 6)]},
            "properties": properties,
        }
    )
    return Outgoing(topic, payload, content_type="application/geo+json")


def _iso(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return moment.replace("+00:00", "Z")
