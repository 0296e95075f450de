"""Gateways that get warm: what the law of heat is tried on."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from math import exp
from typing import Final

from geoweir.core.heat import Governor, Reading

__all__ = [
    "PLANTS",
    "Demand",
    "Hour",
    "Plant",
    "Sensor",
    "Warmth",
    "always",
    "best_constant",
    "good",
    "lost",
    "run",
    "stuck",
]


@dataclass(frozen=True, slots=True)
class Plant:
    """Masses that warm up apart from each other and add up: the chip, its plate, its case.

    ``parts`` has a time constant in seconds, and the degrees Celsius that full work adds, of each.
    """

    name: str
    ambient: float
    parts: tuple[tuple[float, float], ...]
    noise: float = 0.4  # standard deviation of a reading
    grain: float = 0.001  # of a reading
    every_s: float = 1.0
    seed: int = 1


class Warmth:
    """How warm a plant is, from ambient on."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self._parts = [0.0] * len(plant.parts)
        self._dice = random.Random(plant.seed)
        self.celsius = plant.ambient

    def work(self, load: float, seconds: float) -> None:
        """Some seconds at a share of full work."""
        for index, (tau_s, gain) in enumerate(self._plant.parts):
            self._parts[index] += (gain * load - self._parts[index]) * (1 - exp(-seconds / tau_s))
        self.celsius = self._plant.ambient + sum(self._parts)

    def shown(self) -> float:
        """What a sensor reads, with its noise and its grain."""
        noisy = self.celsius + self._dice.gauss(0, self._plant.noise)
        return round(noisy / self._plant.grain) * self._plant.grain


@dataclass(slots=True)
class Hour:
    """What came of a run."""

    changes: int = 0
    above_s: float = 0.0  # above limit + 2
    work: float = 0.0  # seconds of full work
    hottest: float = 0.0
    duties: list[float] = field(default_factory=list)
    celsius: list[float] = field(default_factory=list)


Demand = Callable[[float], float]
Sensor = Callable[[float, float], float | None]


def always(share: float) -> Demand:
    """The same demand all the time."""
    return lambda _: share


_FULL: Final = always(1.0)


def run(
    plant: Plant,
    limit: float,
    *,
    demand: Demand = _FULL,
    governor: Governor | None = None,
    duty: float = 1.0,
    sensor: Sensor = lambda _, celsius: celsius,
    seconds: int = 3600,
) -> Hour:
    """Runs a plant from ambient, with a governor or with a constant duty."""
    warmth = Warmth(plant)
    hour = Hour()
    now = 0.0
    while now < seconds:
        load = min(demand(now), duty)
        warmth.work(load, plant.every_s)
        celsius = warmth.celsius
        now += plant.every_s
        hour.work += load * plant.every_s
        hour.above_s += plant.every_s * (celsius > limit + 2)
        hour.hottest = max(hour.hottest, celsius)
        hour.duties.append(duty)
        hour.celsius.append(celsius)
        if governor is not None:
            given = sensor(now, warmth.shown())
            decided = governor.decide(now, Reading(celsius=given, busy=load)).duty
            hour.changes += decided != duty
            duty = decided
    return hour


def best_constant(plant: Plant, limit: float) -> Hour:
    """The hour with the largest constant duty that never passes the limit, at full demand.

    A plant is linear and warms up steadily, so one hour of full work tells which duty that is.
    """
    full = run(plant, limit)
    share = (limit - plant.ambient) / (full.hottest - plant.ambient)
    return full if share >= 1.0 else run(plant, limit, duty=share)


#: A bare board, one with a heat sink, and one in a case with a whole-degree sensor.
PLANTS: Final = (
    Plant("board", 35.0, ((90.0, 55.0),)),
    Plant("sink", 40.0, ((8.0, 12.0), (300.0, 50.0))),
    Plant("case", 45.0, ((10.0, 8.0), (60.0, 10.0), (900.0, 30.0)), noise=0.5, grain=1.0),
)


def good(_: float, celsius: float) -> float:
    """A sensor that shows what is."""
    return celsius


def lost(begin: float, end: float) -> Sensor:
    """A sensor that gives nothing between two moments."""
    return lambda now, celsius: None if begin <= now < end else celsius


def stuck(begin: float, end: float) -> Sensor:
    """A sensor that repeats itself between two moments."""
    last: list[float] = []

    def read(now: float, celsius: float) -> float:
        if not begin <= now < end:
            return celsius
        last.append(celsius)
        return last[0]

    return read
