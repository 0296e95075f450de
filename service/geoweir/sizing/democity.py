"""The demo's inputs: a while of its buses and receivers, mixed as the demo mixes them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from geoweir.demo.config import DATA_DIR
from geoweir.demo.feed import BusRound, RecordedReceiver, bus_message
from geoweir.demo.fleet import Fleet
from geoweir.demo.receiver import read_fixes
from geoweir.ports import Outgoing
from geoweir.settings.values import Settings
from geoweir.sizing.sources import Source
from geoweir.sizing.template import Template

__all__ = ["demo_sources"]

_SECONDS: Final = 60
_BUSES_PER_SECOND: Final = 100
#: In the demo two receivers speak once a second each, and the buses 200 times.
_SHARE: Final = 100


def demo_sources(settings: Settings) -> list[Source]:
    """Inputs of the streams ``buses`` and ``receivers``, of the minute before now."""
    started_at = time.time() - _SECONDS
    round_ = BusRound(Fleet.load(DATA_DIR, started_at=started_at))
    buses = [
        bus_message(fix)
        for second in range(_SECONDS)
        for fix in round_.take(_BUSES_PER_SECOND, float(second))
    ]
    receivers = [
        message
        for path in sorted(DATA_DIR.glob("*.nmea.gz"))
        for message in RecordedReceiver(path.name.split(".")[0], read_fixes(path), started_at).take(
            _SECONDS
        )
    ]
    found = {"buses": (buses, _SHARE), "receivers": (receivers, 1)}
    return [
        Source(stream.name, stream.qos, _templates(messages), "the demo's data", share)
        for stream in settings.streams
        for messages, share in (found[stream.name],)
    ]


def _templates(messages: Sequence[Outgoing]) -> list[Template]:
    return [Template(message.topic, message.payload) for message in messages]
