"""The demo's fleet: buses on real routes by a real timetable, as a pure function of time.

A weekday of the network has at most 39 buses at once. To have some hundred, the timetable is run
eight times, each seven minutes later than the one before; a page that shows the fleet must say so.
Only the trips that start in the busy half of the day are used, and that half day is repeated for
ever: what still runs at its end goes on beside what starts again.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from geoweir.demo.noise import Noise
from geoweir.demo.timetable import Pattern, Timetable

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Fix", "Fleet"]

_OPENS_S: Final = 6.5 * 3600  # the busy half of the day, seconds after midnight
_ROUND_S: Final = 12 * 3600
_BEGINS_S: Final = 8 * 3600  # what the timetable's clock shows when the demo starts
_RUNS: Final = 8
_RUN_SHIFT_S: Final = 7 * 60
_TURN_S: Final = 60.0  # between two trips of a bus
_RETURN_S: Final = 30 * 60.0  # for an empty bus to where it starts the round again
_SAME_PLACE_DEGREES: Final = 0.005  # some 500 m
_METRES_PER_DEGREE: Final = 111_320.0
_STANDS_BELOW_M_S: Final = 0.3


@dataclass(frozen=True, slots=True)
class Fix:
    """What a bus's receiver says.

    Attributes:
        id: ``R-{route}-{number}``.
        lon: degrees, EPSG:4326.
        lat: degrees.
        speed_ms: metres per second over ground, not below 0.
        course: degrees from north, clockwise, 0 to 360.
        time: Unix seconds.
    """

    id: str
    route: str
    lon: float
    lat: float
    speed_ms: float
    course: float
    time: float


@dataclass(frozen=True, slots=True)
class _Duty:
    """A trip of one bus in the round; times are seconds after the round's begin."""

    bus: str
    device: int
    starts: float
    ends: float
    pattern: Pattern


@dataclass(frozen=True, slots=True)
class _Parked:
    """A bus between two trips: when its first began, when and where its last one ended."""

    began: float
    ended: float
    place: tuple[float, float]


class Fleet:
    """All buses; nothing in it changes after ``load``."""

    def __init__(self, duties: list[_Duty], noise: Noise, started_at: float) -> None:
        self._duties = duties
        self._noise = noise
        self._started_at = started_at

    @classmethod
    def load(cls, data_dir: Path, *, seed: int = 1, started_at: float = 0.0) -> Fleet:
        """Reads the timetable and gives each trip a bus.

        Args:
            data_dir: the folder with ``timetable.json.gz``.
            seed: of the receivers' noise; equal seeds give equal fixes.
            started_at: the Unix time that fixes at 0 seconds bear.
        """
        timetable = Timetable.read(data_dir / "timetable.json.gz")
        return cls(_duties(timetable), Noise(seed), started_at)

    def __repr__(self) -> str:
        return f"<Fleet trips={len(self._duties)} buses={len(self.ids)}>"

    @property
    def ids(self) -> set[str]:
        """The ids of all buses that are ever on the road."""
        return {duty.bus for duty in self._duties}

    def active(self, seconds: float) -> list[int]:
        """The numbers of the trips under way, in a steady order.

        Args:
            seconds: since the start of the demo, 0 or more.
        """
        turn = _turn(seconds)
        return [
            number
            for number, duty in enumerate(self._duties)
            if duty.starts <= turn < duty.ends or turn + _ROUND_S < duty.ends
        ]

    def fix(self, number: int, seconds: float) -> Fix:
        """The fix of the bus on a trip; one that has just ended stands at its last stop."""
        duty = self._duties[number]
        shape = duty.pattern.shape
        metres, speed = duty.pattern.at((_turn(seconds) - duty.starts) % _ROUND_S)
        lon, lat, course = shape.at(metres)
        east, north = self._noise.offset_m(duty.device, seconds)
        measured = max(0.0, speed + self._noise.speed_m_s(duty.device, seconds))
        return Fix(
            id=duty.bus,
            route=duty.pattern.route,
            lon=lon + east / (_METRES_PER_DEGREE * math.cos(math.radians(lat))),
            lat=lat + north / _METRES_PER_DEGREE,
            speed_ms=measured if measured >= _STANDS_BELOW_M_S else 0.0,
            course=course,
            time=self._started_at + seconds,
        )

    def positions(self, seconds: float) -> list[Fix]:
        """The fix of every bus on the road, each id once."""
        return [self.fix(number, seconds) for number in self.active(seconds)]


def _turn(seconds: float) -> float:
    """Seconds after the begin of the round."""
    return (_BEGINS_S - _OPENS_S + seconds) % _ROUND_S


def _duties(timetable: Timetable) -> list[_Duty]:
    """The trips of a round with their buses: a bus takes the next trip from where it stands."""
    departures = sorted(
        (
            ((trip.start - _OPENS_S + run * _RUN_SHIFT_S) % _ROUND_S, trip.pattern)
            for trip in timetable.trips
            if _OPENS_S <= trip.start < _OPENS_S + _ROUND_S
            for run in range(_RUNS)
        ),
        key=lambda departure: departure[0],
    )
    garages: dict[str, list[_Parked]] = defaultdict(list)
    duties = []
    for starts, pattern in departures:
        number = _take(garages[pattern.route], starts, pattern)
        bus = f"R-{pattern.route}-{number + 1}"
        duties.append((bus, starts, starts + pattern.duration_s, pattern))
    devices = {bus: device for device, bus in enumerate(sorted({duty[0] for duty in duties}))}
    return [_Duty(bus, devices[bus], starts, ends, what) for bus, starts, ends, what in duties]


def _take(garage: list[_Parked], starts: float, pattern: Pattern) -> int:
    """The number of a bus that stands where a trip starts, and is back when the round ends."""
    ends = starts + pattern.duration_s
    for number, bus in enumerate(garage):
        rested = bus.ended + _TURN_S <= starts and ends + _RETURN_S <= bus.began + _ROUND_S
        if rested and math.dist(bus.place, _place(pattern, 0.0)) < _SAME_PLACE_DEGREES:
            garage[number] = _Parked(bus.began, ends, _place(pattern, pattern.duration_s))
            return number
    garage.append(_Parked(starts, ends, _place(pattern, pattern.duration_s)))
    return len(garage) - 1


def _place(pattern: Pattern, seconds: float) -> tuple[float, float]:
    """Where a trip is, in degrees."""
    lon, lat, _ = pattern.shape.at(pattern.at(seconds)[0])
    return lon, lat
