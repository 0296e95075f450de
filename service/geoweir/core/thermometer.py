"""What a row of readings says: how warm it is, where it is going, and whether to believe it.

Readings come every second or two, with noise of about half a degree and in steps of up to a whole
one. So the temperature and its slope are those of a straight line through the last minute (least
squares), and one reading that stands alone is nothing (median of three).
"""

from __future__ import annotations

from collections import deque
from math import exp, inf
from statistics import fmean, median
from typing import Final, Literal

__all__ = ["Health", "Thermometer"]

Health = Literal["good", "lost", "stuck"]

_OVER_S: Final = 60.0  # of readings that the line goes through
_FEWEST: Final = 5  # readings of a line
_SHORTEST_S: Final = 8.0  # that a line spans
_LATELY_S: Final = 6.0  # of readings whose median is the temperature of the moment
#: Without a reading for so long, the sensor is lost.
_LOST_S: Final = 6.0
#: A sensor that used to move does not stand still ten times as long as it ever did.
_STILL_S: Final = 30.0
_STILL_TIMES: Final = 10
_MOVES: Final = 30
#: Nor does it while the load goes up or down by so much, and for so long afterwards.
_LOAD: Final = 0.3
_LOAD_OVER_S: Final = 30.0
_ANSWER_S: Final = 180.0


class Thermometer:
    """Judges the readings of one sensor; all times are seconds on one monotonic clock."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, float]] = deque()
        self._raw: deque[float] = deque(maxlen=3)
        self._seen_at: float | None = None  # the last reading; before it, the first look
        self._still = _Stillness()

    def note(self, now: float, celsius: float | None, busy: float) -> None:
        """Takes a reading, None where there is none, and the share of the workers' time in use."""
        if self._seen_at is None:
            self._seen_at = now
        if celsius is None:
            return
        self._still.note(now, celsius, busy)
        if now - self._seen_at > _LOST_S:
            self.forget()
        self._seen_at = now
        self._raw.append(celsius)
        self._points.append((now, median(self._raw)))
        while self._points[0][0] < now - _OVER_S:
            self._points.popleft()

    def forget(self) -> None:
        """Begins a new line: what was read before no longer tells where it is going."""
        self._points.clear()

    def health(self, now: float) -> Health:
        """Whether the readings can be believed."""
        if self._seen_at is not None and now - self._seen_at > _LOST_S:
            return "lost"
        return "stuck" if self._still.is_stuck(now) else "good"

    def believed_at(self, now: float) -> float:
        """When it last gave a reading that can be believed, or was first looked at."""
        if self._still.is_stuck(now):
            return self._still.since
        return now if self._seen_at is None else self._seen_at

    def lately(self) -> float | None:
        """Degrees Celsius now, without a look ahead."""
        if not self._points:
            return None
        newest = self._points[-1][0]
        return median(celsius for at, celsius in self._points if at >= newest - _LATELY_S)

    def line(self) -> tuple[float, float, float] | None:
        """Degrees at the last reading, degrees per second, and the seconds that they rest on."""
        if len(self._points) < _FEWEST:
            return None
        end = self._points[-1][0]
        span_s = end - self._points[0][0]
        if span_s < _SHORTEST_S:
            return None
        mean_at = fmean(at for at, _ in self._points)
        mean = fmean(celsius for _, celsius in self._points)
        spread = sum((at - mean_at) ** 2 for at, _ in self._points)
        slope = sum((at - mean_at) * (celsius - mean) for at, celsius in self._points) / spread
        return mean + slope * (end - mean_at), slope, span_s


class _Stillness:
    """Finds a sensor that repeats itself though it should not.

    A whole-degree sensor may well show one value for minutes: each sensor is measured by its own
    longest rest, and by work that must have shown.
    """

    def __init__(self) -> None:
        self.since = -inf  # when the value became what it is
        self._value: float | None = None
        self._longest_s = 0.0
        self._moves = 0
        self._load = 0.0
        self._noted_at = -inf
        self._loads = (0.0, 0.0)  # lowest and highest since
        self._loaded_at: float | None = None  # when they were far enough from each other

    def note(self, now: float, value: float, busy: float) -> None:
        weight = exp((self._noted_at - now) / _LOAD_OVER_S)
        self._load = busy + (self._load - busy) * weight
        self._noted_at = now
        if value != self._value:
            if self._value is not None and not self.is_stuck(now):
                self._moves += 1
                self._longest_s = max(self._longest_s, now - self.since)
            self.since, self._value = now, value
            self._loads = (self._load, self._load)
            self._loaded_at = None
            return
        self._loads = (min(self._loads[0], self._load), max(self._loads[1], self._load))
        if self._loaded_at is None and self._loads[1] - self._loads[0] >= _LOAD:
            self._loaded_at = now

    def is_stuck(self, now: float) -> bool:
        if self._loaded_at is not None and now - self._loaded_at >= _ANSWER_S:
            return True
        longest_s = max(_STILL_S, _STILL_TIMES * self._longest_s)
        return self._moves >= _MOVES and now - self.since > longest_s
