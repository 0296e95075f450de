"""Keeps the gateway below its limit: sensors to the law, its duty to dispatch."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from geoweir.core.heat import FULL, Decision, Governor, Reading
from geoweir.pool.supervisor import SlotStats
from geoweir.settings.values import ThermalSettings
from geoweir.telemetry.events import Event
from geoweir.telemetry.gateway.events import (
    DutyChanged,
    HeatWatched,
    SensorChanged,
    VoltageChanged,
)
from geoweir.telemetry.gateway.sensor import Sensor, bounds_of, describe
from geoweir.telemetry.gateway.watch import EVERY_S, Readings, Watch
from geoweir.telemetry.snapshot import GatewayReading

__all__ = ["Heat", "Worked"]

#: From this age on, readings are those of a thread that hangs.
_OLD_S: Final = 2.5 * EVERY_S


class Worked(Protocol):
    """Who does the work: dispatch."""

    @property
    def duty(self) -> float:
        """The share of the workers' time that may be used."""
        ...

    def throttle(self, duty: float) -> None:
        """Keeps to a share of the workers' time."""
        ...

    def chunk_limit(self) -> int:
        """Features that a chunk may have."""
        ...


class Heat:
    """Reads, decides and tells, once a second.

    Args:
        settings: sensor and limits.
        work: who is throttled.
        slots: the pool's slots as they are now.
        emit: told of every change.
    """

    def __init__(
        self,
        settings: ThermalSettings,
        *,
        work: Worked,
        slots: Callable[[], list[SlotStats]],
        emit: Callable[[Event], None],
    ) -> None:
        self._settings = settings
        self._work = work
        self._slots = slots
        self._emit = emit
        self._limit: float | None = None
        self._readings: Readings | None = None
        self._name = settings.sensor
        self._governor: Governor | None = None
        self._is_undervolted = False
        self._decision = Decision(duty=FULL, why="cool", health="good")
        self._watch = Watch(Path(settings.root), settings.sensor)

    def reading(self) -> GatewayReading:
        """What metrics show."""
        now = self._readings
        if now is None:
            return GatewayReading(duty=self._work.duty)
        return GatewayReading(
            celsius=now.celsius if self._decision.health == "good" else None,
            limit=self._limit,
            frequency_hz=now.frequency_hz,
            duty=self._work.duty,
            speed=now.speed,
            is_undervolted=now.is_undervolted,
            pressure=now.pressure,
        )

    async def run(self) -> None:
        """Keeps to the limit until cancelled; then the work goes on without one."""
        self._watch.start()
        before_s, then = self._busy_s(), time.monotonic()
        try:
            while True:
                await asyncio.sleep(EVERY_S)
                busy_s, now = self._busy_s(), time.monotonic()
                busy = (busy_s - before_s) / ((now - then) * max(1, len(self._slots())))
                before_s, then = busy_s, now
                self._look(now, min(max(busy, 0.0), 1.0))
        finally:
            self._watch.stop()
            self._work.throttle(FULL)

    def _look(self, now: float, busy: float) -> None:
        latest = self._watch.latest
        if latest is None:
            return
        if self._readings is None:
            self._begin(self._watch.sensor)
        self._readings = latest
        self._note_voltage(is_low=bool(latest.is_undervolted))
        if self._governor is not None:
            self._apply(self._governor.decide(now, _seen(now, latest, busy)))

    def _begin(self, sensor: Sensor | None) -> None:
        wanted = self._settings.sensor
        bounds = bounds_of(sensor, self._settings.limit, self._settings.resume)
        self._emit(HeatWatched(plan=describe(sensor, bounds, wanted)))
        if sensor is not None or wanted != "auto":
            self._governor = Governor(bounds.limit, bounds.resume)
            self._limit = bounds.limit
            self._name = wanted if sensor is None else sensor.name

    def _note_voltage(self, *, is_low: bool) -> None:
        if is_low != self._is_undervolted:
            self._is_undervolted = is_low
            self._emit(VoltageChanged(low=is_low))

    def _apply(self, decision: Decision) -> None:
        before, self._decision = self._decision, decision
        if decision.health != before.health:
            self._emit(SensorChanged(health=decision.health, sensor=self._name))
        if decision.duty != before.duty:
            self._work.throttle(decision.duty)
            self._emit(
                DutyChanged(
                    why=decision.why,
                    duty=decision.duty,
                    celsius=None if self._readings is None else self._readings.celsius,
                    limit=self._limit or 0.0,
                    chunk=self._work.chunk_limit(),
                )
            )

    def _busy_s(self) -> float:
        return sum(slot.busy_seconds for slot in self._slots())


def _seen(now: float, latest: Readings, busy: float) -> Reading:
    """What the law is told: where the thread that reads hangs, there is no reading."""
    is_new = now - latest.at < _OLD_S
    return Reading(
        celsius=latest.celsius if is_new else None,
        throttled=latest.is_throttled and is_new,
        speed=latest.speed,
        busy=busy,
    )
