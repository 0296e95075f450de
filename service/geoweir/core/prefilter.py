"""What is dropped on the event loop, before any worker: place, height, age, and too often.

It only drops what the configuration surely doesn't want. What a worker would refuse (a position
that is no number, or none on Earth) passes, so that it ends as rejected and not as filtered.
"""

from __future__ import annotations

from collections import OrderedDict
from math import isfinite
from typing import Final

from geoweir.core.spec import PrefilterSpec

__all__ = ["CLOCK_IS_SANE_S", "Point", "Prefilter"]

#: Id, x, y, z or None (in the stream's CRS), and the fix time in Unix seconds or None.
Point = tuple[str, float, float, float | None, float | None]

#: Before this moment (2024-01-01) a gateway's clock is wrong, and no age means anything.
CLOCK_IS_SANE_S: Final = 1_704_067_200.0

#: Senders write longitudes up to a turn and a half; they mean the same place.
_TURNS: Final = (0.0, 360.0, -360.0, 720.0, -720.0)


class Prefilter:
    """The pre-filter of one stream.

    Attributes:
        evicted: how many ids were forgotten because there are more than ``ids``.
    """

    def __init__(self, spec: PrefilterSpec, ids: int, *, geographic: bool = True) -> None:
        """Makes a pre-filter.

        Args:
            spec: what to drop, in the stream's CRS.
            ids: how many ids are remembered for the interval.
            geographic: x is a longitude in degrees, equal again after every 360.
        """
        self._box = spec.bbox
        self._turns = _TURNS if geographic else (0.0,)
        self._z = spec.z
        self._max_age_s = spec.max_age_s
        self._min_interval_s = spec.min_interval_s
        self._most = ids
        self._last: OrderedDict[str, float] = OrderedDict()
        self.evicted = 0

    def decide(self, point: Point, *, now: float) -> str | None:
        """Why a point is dropped, None when it goes on.

        Without a height no height range drops it; without a fix time no age does, and its interval
        is that of the arrivals.

        Args:
            point: what the light read gives.
            now: the wall clock in Unix seconds.

        Returns:
            ``bbox``, ``z``, ``age`` or ``interval``; only what goes on counts for the interval.
        """
        ident, x, y, z, time = point
        if not (isfinite(x) and isfinite(y) and (z is None or isfinite(z))):
            return None
        if self._box is not None and self.box_outside(x, y, x, y):
            return "bbox"
        if self._z is not None and z is not None and not self._z[0] <= z <= self._z[1]:
            return "z"
        if self._is_old(time, now):
            return "age"
        if self._min_interval_s is None:
            return None
        return self._too_soon(ident, now if time is None else time, self._min_interval_s)

    def box_outside(self, minx: float, miny: float, maxx: float, maxy: float) -> bool:
        """Whether a box of all vertices surely misses ``bbox``.

        A box with NaN (of an empty geometry) is never outside. Touching the edge is inside. Where
        ``west > east`` the configured box crosses the antimeridian.
        """
        if self._box is None or not (isfinite(minx) and isfinite(maxx)):
            return False
        west, south, east, north = self._box
        if not (south <= maxy and miny <= north):
            return isfinite(miny) and isfinite(maxy)
        if west <= east:
            return not any(west <= maxx + turn and minx + turn <= east for turn in self._turns)
        return not any(
            west <= maxx + turn and minx + turn <= east + _TURNS[1] for turn in self._turns
        )

    def forget(self) -> None:
        """Forgets every id's last time: after a lane reopened its inputs come again."""
        self._last.clear()

    def _is_old(self, time: float | None, now: float) -> bool:
        if self._max_age_s is None or time is None or now < CLOCK_IS_SANE_S:
            return False
        return now - time > self._max_age_s

    def _too_soon(self, ident: str, moment: float, min_interval_s: float) -> str | None:
        last = self._last.get(ident)
        # A fix from before the last one is late, not too soon.
        if last is not None and 0 <= moment - last < min_interval_s:
            return "interval"
        self._last[ident] = moment
        self._last.move_to_end(ident)
        if len(self._last) > self._most:
            self._last.popitem(last=False)
            self.evicted += 1
        return None
