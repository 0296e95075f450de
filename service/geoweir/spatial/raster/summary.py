"""Statistics of stored numbers as statistics of the band's values."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

from geoweir.spatial.raster.band import Band
from geoweir.spatial.raster.tally import Stats

__all__ = ["STATS", "summary"]

_Value = float | int | None


def _low(stats: Stats, band: Band) -> _Value:
    return band.value(stats.least if band.scale >= 0 else stats.greatest)


def _high(stats: Stats, band: Band) -> _Value:
    return band.value(stats.greatest if band.scale >= 0 else stats.least)


def _sum(stats: Stats, band: Band) -> _Value:
    total = stats.total
    if band.is_scaled:
        total = total * band.scale + band.offset * stats.count
    return total if math.isfinite(total) else None


def _mean(stats: Stats, band: Band) -> _Value:
    mean = stats.total / stats.count
    if band.is_scaled:
        mean = mean * band.scale + band.offset
    return mean if math.isfinite(mean) else None


def _majority(stats: Stats, band: Band) -> _Value:
    return band.value(stats.majority)


_OF: Final[dict[str, Callable[[Stats, Band], _Value]]] = {
    "count": lambda stats, _: stats.count,
    "min": _low,
    "max": _high,
    "mean": _mean,
    "sum": _sum,
    "majority": _majority,
}
STATS: Final = tuple(_OF)


def summary(stats: Stats, band: Band, names: Sequence[str]) -> list[_Value]:
    """The statistics of these names: whole numbers where the band's are, but for the mean.

    Of no pixels the count is 0 and the rest None; so is what isn't finite.
    """
    if stats.count == 0:
        return [0 if name == "count" else None for name in names]
    return [_OF[name](stats, band) for name in names]
