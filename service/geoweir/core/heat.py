"""How much work a warm gateway takes on: the law alone, without sensors and without a clock.

The duty is the share of the workers' time that may be used. It goes in steps of one fourteenth,
down as soon as the temperature is going over the limit, up slowly, and never twice in a row without
having seen what the last step did. A step that turned out to be one too many is remembered, so that
the duty comes to rest below it and does not swing around the limit.

Smaller chunks do not cool, and half a degree of noise is not heat: figures in ``docs/heat.md``.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import ceil, exp, inf, log
from typing import Final, Literal

from geoweir.core.thermometer import Health, Thermometer

__all__ = ["FULL", "LEAST", "Decision", "Governor", "Reading", "Why"]

Why = Literal["cool", "hot", "throttled", "cooling", "sensor lost", "sensor stuck", "sensor back"]

FULL: Final = 1.0
#: One step; so a step costs or gives the same share of the work wherever it is.
_STEP: Final = 0.93
_LAST: Final = 31  # step: 0.105 of the time
LEAST: Final = _STEP**_LAST
#: Without a sensor nobody can say how warm it is: half the work is what most cases stand.
_BLIND: Final = 10  # step: 0.484

#: How far ahead the line of the readings is followed; no further than half of what it rests on.
_AHEAD_S: Final = 30.0
#: A steep rise counts for so many degrees at most: it is often the chip alone, and soon over.
_AHEAD_C: Final = 3.0
#: Degrees per second that no noise makes.
_STEEP: Final = 0.3
#: Degrees per second from which on the readings of the moment bound the line.
_LEVELLING: Final = 0.02
#: What one step is taken to change, in degrees.
_STEP_C: Final = 2.5
_MOST_DOWN: Final = 10
_MOST_UP: Final = 4
_DOWN_EVERY_S: Final = 20.0
#: Far over the limit there is no time to lose; and what falls already need not fall faster.
_FAR_OVER_C: Final = 1.5
_DOWN_FAST_S: Final = 10.0
_FALLING: Final = -0.002
_DOWN_FALLING_S: Final = 120.0
_UP_EVERY_S: Final = 60.0
_UP_NEAR_EVERY_S: Final = 120.0
#: After so many changes within an hour, steps up wait longer: they can wait, steps down can't.
_MANY: Final = 20
_HOUR_S: Final = 3600.0
_UP_AT_REST_S: Final = 600.0
#: Room below the limit that a step up needs.
_ROOM_C: Final = 1.0
#: So much over the limit, the line is not waited for.
_DANGER_C: Final = 1.0
#: A step that was held so long and then was too warm is not tried again for the time after it.
_PROVEN_S: Final = 60.0
_REMEMBERED_S: Final = 900.0
#: A lost sensor's duty is held so long, unless it was on its way over the limit.
_HELD_S: Final = 60.0
#: A clock below this share of its best is throttled, if the workers had something to do.
_SLOW: Final = 0.8
_BUSY: Final = 0.5
_BUSY_OVER_S: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the gateway's sensors say at one moment."""

    celsius: float | None  # None: no reading
    throttled: bool = False  # kernel or firmware say that they slow the processor down
    speed: float | None = None  # own speed by the best seen
    busy: float = FULL  # share of the workers' time in use since the reading before


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The share of the workers' time that may be used, and why it became so."""

    duty: float
    why: Why
    health: Health


class Governor:
    """Decides at every reading of a sensor that is there, or should be.

    Args:
        limit: degrees Celsius that are not to be passed.
        resume: degrees below which the duty rises faster.
    """

    def __init__(self, limit: float, resume: float) -> None:
        self._limit = limit
        self._resume = resume
        self._thermometer = Thermometer()
        self._step = 0  # 0: full work
        self._why: Why = "cool"
        self._changed_at = -inf
        self._busy = FULL
        self._noted_at = -inf
        self._too_warm: tuple[int, float] | None = None  # a step, and until when it is avoided
        self._before_blind: int | None = None
        self._changes: deque[float] = deque()  # when, over the last hour
        self._rose = False  # the last step was one up

    def decide(self, now: float, reading: Reading) -> Decision:
        """The duty from now on; ``now`` is monotonic seconds, later at every call."""
        self._thermometer.note(now, reading.celsius, reading.busy)
        weight = exp((self._noted_at - now) / _BUSY_OVER_S)
        self._busy = reading.busy + (self._busy - reading.busy) * weight
        self._noted_at = now
        health = self._thermometer.health(now)
        if health == "good":
            self._see(now, reading)
        else:
            self._feel(now, health)
        return Decision(duty=_STEP**self._step, why=self._why, health=health)

    def _see(self, now: float, reading: Reading) -> None:
        if self._before_blind is not None:
            step, self._before_blind = self._before_blind, None
            lately = self._thermometer.lately()
            if lately is not None and lately < self._limit - _ROOM_C:
                self._go(now, step, "sensor back")
                return
        waited_s = now - self._changed_at
        if waited_s < self._patience_s():
            return
        if excess := self._excess(reading):
            self._remember(now, waited_s)
            why: Why = "hot" if excess > _SIGN_C else "throttled"
            self._go(now, max(self._step, self._step_in_use()) + _down(excess), why)
        elif self._step:
            self._rise(now, waited_s)

    def _patience_s(self) -> float:
        """How long a step down waits for what the step before did."""
        lately, line = self._thermometer.lately(), self._thermometer.line()
        if lately is None:
            return _DOWN_EVERY_S
        if lately > self._limit + _FAR_OVER_C:
            return _DOWN_FAST_S
        return _DOWN_FALLING_S if line is not None and line[1] < _FALLING else _DOWN_EVERY_S

    def _excess(self, reading: Reading) -> float:
        """Degrees that have to go; 0 when there are none."""
        lately = self._thermometer.lately()
        line = self._thermometer.line()
        is_slow = reading.speed is not None and reading.speed < _SLOW and self._busy > _BUSY
        is_near = lately is not None and lately >= self._resume
        if line is not None:
            celsius, slope, span_s = line
            if slope > _LEVELLING and lately is not None:
                celsius = min(celsius, lately)  # a line ends above a rise that levels off
            rise = slope * (_AHEAD_S if slope > _STEEP else min(_AHEAD_S, span_s / 2))
            if celsius + min(rise, _AHEAD_C) > self._limit:
                return max(0.0, celsius + rise - self._limit) + _SIGN_C
            if rise < -_AHEAD_C:
                return 0.0
        if lately is not None and lately > self._limit + _DANGER_C:
            return lately - self._limit
        return _SIGN_C if is_near and (reading.throttled or is_slow) else 0.0

    def _rise(self, now: float, waited_s: float) -> None:
        line = self._thermometer.line()
        if line is None:
            return
        celsius, slope, span_s = line
        soon = celsius + max(0.0, slope) * min(_AHEAD_S, span_s / 2)
        if soon >= self._limit - _ROOM_C:
            return
        is_far = soon < self._resume
        if waited_s < self._pause_s(now, is_far=is_far):
            return
        steps = 1 + int((self._resume - soon) / _STEP_C) if is_far else 1
        self._go(now, self._allowed(now, self._step - min(steps, _MOST_UP)), "cooling")

    def _pause_s(self, now: float, *, is_far: bool) -> float:
        """How long a step up waits."""
        while self._changes and self._changes[0] < now - _HOUR_S:
            self._changes.popleft()
        if len(self._changes) >= _MANY:
            return _UP_AT_REST_S
        return _UP_EVERY_S if is_far else _UP_NEAR_EVERY_S

    def _allowed(self, now: float, step: int) -> int:
        """The step, or the nearest one that did not prove too warm."""
        if self._too_warm is not None and now > self._too_warm[1]:
            self._too_warm = None
        lowest = 0 if self._too_warm is None else min(self._too_warm[0] + 1, self._step)
        return max(step, lowest, 0)

    def _remember(self, now: float, held_s: float) -> None:
        # Just after a step down it may be the warmth of the step before.
        if self._rose or held_s >= _PROVEN_S:
            self._too_warm = self._step, now + _REMEMBERED_S

    def _feel(self, now: float, health: Health) -> None:
        """Nobody knows how warm it is: as before for a while, then half the work."""
        if self._before_blind is not None:
            return
        gone_s = now - self._thermometer.believed_at(now)
        line = self._thermometer.line() if health == "lost" else None
        is_rising = line is not None and line[0] + line[1] * gone_s > self._limit
        if gone_s >= _HELD_S or is_rising:
            self._before_blind = self._step
            why: Why = "sensor lost" if health == "lost" else "sensor stuck"
            self._go(now, max(self._step, _BLIND), why)

    def _step_in_use(self) -> int:
        """The step that what is done now would be: a duty above it slows nothing down."""
        share = max(self._busy, LEAST)
        return min(int(log(share) / log(_STEP)), _MOST_DOWN)

    def _go(self, now: float, step: int, why: Why) -> None:
        step = min(max(step, 0), _LAST)
        if step == self._step:
            return
        self._rose = step < self._step
        self._changes.append(now)
        self._step = step
        self._why = why if step else "cool"
        self._changed_at = now
        self._thermometer.forget()


#: A sign of throttling counts as so many degrees over the limit: one step.
_SIGN_C: Final = 0.5


def _down(excess: float) -> int:
    return min(ceil(excess / _STEP_C), _MOST_DOWN)
