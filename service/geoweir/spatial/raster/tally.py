"""Statistics that grow window by window, in numpy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from geoweir.spatial.raster.request import MAX_DISTINCT, TooVariedError

__all__ = ["NONE", "Stats", "Tally"]


@dataclass(frozen=True, slots=True)
class Stats:
    """What the stored numbers of a polygon's pixels come to.

    Attributes:
        pixels: inside the polygon and the raster.
        count: of those, with a value; where it is 0 the others mean nothing.
        total: their sum: exact for whole numbers, for others rounded in the last digits.
        least: the least.
        greatest: the greatest.
        majority: the most frequent; of equally frequent ones the least. NaN if not asked for.
    """

    pixels: int
    count: int
    total: float
    least: float
    greatest: float
    majority: float


NONE: Final = Stats(0, 0, 0, math.inf, -math.inf, math.nan)


class Tally:
    """Numbers added up."""

    def __init__(self, *, majority: bool) -> None:
        self._has_majority = majority
        self._pixels = self._count = 0
        self._total: float = 0
        self._least, self._greatest = math.inf, -math.inf
        self._values, self._votes = np.empty(0), np.empty(0, dtype=np.int64)

    def add(self, pixels: int, values: npt.NDArray[Any]) -> None:
        """Adds pixels, and the numbers of those that have a value; TooVariedError."""
        self._pixels += pixels
        if not values.size:
            return
        self._count += values.size
        self._least = min(self._least, float(values.min()))
        self._greatest = max(self._greatest, float(values.max()))
        with np.errstate(over="ignore", invalid="ignore"):
            self._total += values.sum(dtype="f8" if values.dtype.kind == "f" else "i8").item()
        if self._has_majority:
            self._vote(values)

    def _vote(self, values: npt.NDArray[Any]) -> None:
        found, votes = np.unique(values.astype(np.float64) + 0.0, return_counts=True)
        both, index = np.unique(np.concatenate([self._values, found]), return_inverse=True)
        if len(both) > MAX_DISTINCT:
            raise TooVariedError
        self._votes = np.bincount(index, np.concatenate([self._votes, votes])).astype(np.int64)
        self._values = both

    def stats(self) -> Stats:
        """What it came to."""
        majority = float(self._values[np.argmax(self._votes)]) if len(self._values) else math.nan
        extent = (self._least, self._greatest)
        return Stats(self._pixels, self._count, self._total, *extent, majority)
