"""The one temperature that work follows: which sensor, and from how many degrees on.

``auto`` takes the processor's thermal zone by its type. It never takes the hottest: a power chip
that always says 100 degrees would win. Where there is no such zone, a processor's hwmon chip does.
Types and trips: the kernel's Documentation/driver-api/thermal/sysfs-api.rst.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from geoweir.telemetry.gateway.sysfs import entries, number, text

__all__ = ["Bounds", "Sensor", "bounds_of", "describe", "find_sensor"]

#: Types of a processor's zone, the most telling first; punctuation is taken out before.
_ZONES: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"cpu\d*therm(al)?(zone)?\d*",
        r"soc\d*therm(al)?",
        r"x86pkgtemp|pkgtemp|packagethermal",
        r"tjtherm(al)?",
        r"bcm\d+thermal|imxthermalzone|main0thermal|mtktscpu",
        r"(ap)?cpu.*therm(al)?|therm.*cpu",
        r"(big|little)core\d*thermal|cluster\d*thermal",
    )
)
_CHIPS: Final = ("cpu_thermal", "soc_thermal", "coretemp", "k10temp", "zenpower")
#: Degrees Celsius that a sensor can show; what is outside is no reading.
_COLDEST: Final = -40.0
_HOTTEST: Final = 150.0
_TRIPS: Final = (40.0, 130.0)
_MOST_TRIPS: Final = 16
_UNKNOWN_LIMIT: Final = 75.0
_BELOW: Final = 5.0
_LEAST_BELOW: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensor:
    """A file with thousandths of a degree Celsius."""

    name: str  # of the zone or chip, and its type
    file: Path
    passive: float | None = None  # the lowest trip at which the kernel slows the processor

    def celsius(self) -> float | None:
        """The temperature now; None when it can't be had or can't be true."""
        found = number(self.file)
        if found is None or not _COLDEST <= found / 1000 <= _HOTTEST:
            return None
        return found / 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Between which temperatures work is slowed; degrees Celsius."""

    limit: float
    resume: float
    why: str  # where the limit comes from


def find_sensor(root: Path, wanted: str = "auto") -> Sensor | None:
    """The sensor, or None.

    Args:
        root: where ``sys`` is.
        wanted: auto, or a thermal zone's folder or type, or a hwmon chip's name.
    """
    zones = list(_zones(root))
    if wanted != "auto":
        named = (s for folder, kind, s in zones if wanted in {folder, kind})
        return next(named, None) or _chip(root, (wanted,))
    for pattern in _ZONES:
        for _, kind, sensor in zones:
            if pattern.fullmatch(re.sub(r"[^a-z0-9]", "", kind.lower())):
                return sensor
    return _chip(root, _CHIPS)


def bounds_of(sensor: Sensor | None, limit: float | None, resume: float | None) -> Bounds:
    """The limits that a configuration means; None means automatic."""
    why = "as configured"
    if limit is None:
        passive = sensor.passive if sensor is not None else None
        limit = _UNKNOWN_LIMIT if passive is None else passive - _BELOW
        why = (
            "no passive trip is known"
            if passive is None
            else f"the lowest passive trip, {passive:g}, less {_BELOW:g}"
        )
    resume = limit - _BELOW if resume is None else min(resume, limit - _LEAST_BELOW)
    return Bounds(limit=limit, resume=resume, why=why)


def describe(sensor: Sensor | None, bounds: Bounds, wanted: str = "auto") -> str:
    """One line for people: which sensor, which limit, and why."""
    if sensor is None and wanted == "auto":
        return "no sensor of the processor: full work at any temperature"
    where = f"sensor {wanted} is not there" if sensor is None else sensor.name
    return (
        f"{where}: slowed at {bounds.limit:g} °C ({bounds.why}), faster again below"
        f" {bounds.resume:g} °C"
    )


def _zones(root: Path) -> Iterator[tuple[str, str, Sensor]]:
    for folder in entries(root / "sys/class/thermal", "thermal_zone"):
        kind = text(folder / "type") or ""
        yield (
            folder.name,
            kind,
            Sensor(
                name=f"{folder.name} ({kind})", file=folder / "temp", passive=_passive_trip(folder)
            ),
        )


def _passive_trip(zone: Path) -> float | None:
    trips = [
        number(zone / f"trip_point_{trip}_temp")
        for trip in range(_MOST_TRIPS)
        if text(zone / f"trip_point_{trip}_type") == "passive"
    ]
    degrees = [trip / 1000 for trip in trips if trip is not None]
    return min((t for t in degrees if _TRIPS[0] <= t <= _TRIPS[1]), default=None)


def _chip(root: Path, names: tuple[str, ...]) -> Sensor | None:
    chips = [
        (text(folder / "name"), folder) for folder in entries(root / "sys/class/hwmon", "hwmon")
    ]
    for name in names:
        for chip, folder in chips:
            file = folder / "temp1_input"
            if chip == name and file.exists():
                return Sensor(name=f"{folder.name} ({name})", file=file)
    return None
