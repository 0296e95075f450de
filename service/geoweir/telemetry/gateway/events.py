"""What is logged of the gateway: one line for each change."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from geoweir.core.heat import Why
from geoweir.core.thermometer import Health
from geoweir.telemetry.log import write
from geoweir.telemetry.metrics import Metrics

__all__ = ["DutyChanged", "HeatWatched", "SensorChanged", "VoltageChanged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatWatched:
    """Which sensor is followed, or that there is none; said once."""

    plan: str

    def emit(self, log: logging.Logger, metrics: Metrics) -> None:  # noqa: ARG002 - nothing to count
        """Logs it."""
        write(log, logging.INFO, "heat", plan=self.plan)


@dataclass(frozen=True, slots=True, kw_only=True)
class DutyChanged:
    """The share of the workers' time that may be used."""

    why: Why
    duty: float
    celsius: float | None
    limit: float
    chunk: int  # features, at most

    def emit(self, log: logging.Logger, metrics: Metrics) -> None:  # noqa: ARG002 - a gauge shows it
        """Logs it."""
        write(
            log,
            logging.INFO if self.why in {"cool", "cooling", "sensor back"} else logging.WARNING,
            "duty-changed",
            self.why,
            duty=round(self.duty, 3),
            celsius=self.celsius,
            limit=self.limit,
            chunk=self.chunk,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorChanged:
    """The sensor can be believed again, or no longer."""

    health: Health
    sensor: str

    def emit(self, log: logging.Logger, metrics: Metrics) -> None:  # noqa: ARG002 - a gauge shows it
        """Logs it."""
        level = logging.INFO if self.health == "good" else logging.WARNING
        write(log, level, "sensor-changed", self.health, sensor=self.sensor)


@dataclass(frozen=True, slots=True, kw_only=True)
class VoltageChanged:
    """The supply became too weak, or strong enough; nothing is done about it but said."""

    low: bool

    def emit(self, log: logging.Logger, metrics: Metrics) -> None:  # noqa: ARG002 - a gauge shows it
        """Logs it."""
        level = logging.ERROR if self.low else logging.INFO
        write(log, level, "voltage-changed", "low" if self.low else "good")
