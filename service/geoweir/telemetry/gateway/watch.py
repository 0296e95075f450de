"""Reads the gateway's sensors once a second, in a thread: a read of sysfs can block for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from geoweir.telemetry.gateway.pressure import pressure
from geoweir.telemetry.gateway.processor import frequency_hz, is_throttled, is_undervolted
from geoweir.telemetry.gateway.sensor import Sensor, find_sensor
from geoweir.telemetry.gateway.speed import SpeedMeter

__all__ = ["EVERY_S", "Readings", "Watch"]

EVERY_S: Final = 1.0
_SPEED_EVERY: Final = 5  # readings; it is work


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """What could be read at one moment; None where nobody says."""

    at: float  # monotonic seconds
    celsius: float | None = None
    is_throttled: bool = False
    is_undervolted: bool | None = None
    frequency_hz: float | None = None
    speed: float | None = None  # by the best seen
    pressure: Mapping[str, float] = field(default_factory=dict)


class Watch:
    """A thread that finds the sensor and reads, and what it read last.

    It is a daemon: a read that never returns must not keep the process from ending. While one
    hangs there is no new reading, which is what it looks like from outside.

    Args:
        root: where ``sys`` and ``proc`` are.
        wanted: the sensor, as the configuration names it.

    Attributes:
        latest: the last readings; None before the first.
        sensor: what was found; None before the first readings, too.
    """

    def __init__(self, root: Path, wanted: str) -> None:
        self.latest: Readings | None = None
        self.sensor: Sensor | None = None
        self._root = root
        self._wanted = wanted
        self._speed = SpeedMeter()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gateway sensors", daemon=True)

    def start(self) -> None:
        """Begins to read."""
        self._thread.start()

    def stop(self) -> None:
        """Reads no more; does not wait for a read that hangs."""
        self._end.set()

    def _run(self) -> None:
        self.sensor = find_sensor(self._root, self._wanted)
        count = 0
        while not self._end.is_set():
            if count % _SPEED_EVERY == 0:
                self._speed.measure()
            self.latest = self._read()
            count += 1
            self._end.wait(EVERY_S)

    def _read(self) -> Readings:
        root = self._root
        return Readings(
            celsius=None if self.sensor is None else self.sensor.celsius(),
            is_throttled=is_throttled(root),
            is_undervolted=is_undervolted(root),
            frequency_hz=frequency_hz(root),
            speed=self._speed.ratio(),
            pressure=pressure(root),
            at=time.monotonic(),
        )
