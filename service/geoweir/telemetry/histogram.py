"""A bucketed counter that takes many equal observations at once."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from math import isinf

from geoweir.core.quantile import quantile

__all__ = ["Histogram"]


class Histogram:
    """Counts observations per bucket; a bucket holds values up to and including its bound.

    The messages of one chunk share one latency: ``observe`` counts all of them for the price of
    one, which prometheus_client's own histogram can't.
    """

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0

    def __repr__(self) -> str:
        return f"<Histogram count={self.count} sum={self._sum:g}>"

    @property
    def count(self) -> int:
        """How many observations there were."""
        return sum(self._counts)

    @property
    def sum(self) -> float:
        """The sum of all observed values."""
        return self._sum

    def observe(self, value: float, n: int = 1) -> None:
        """Counts ``n`` observations of one value."""
        self._counts[bisect_left(self._bounds, value)] += n
        self._sum += value * n

    def cumulative(self) -> list[tuple[float, int]]:
        """Bounds with the number of observations up to each; the last bound is infinity."""
        total, rows = 0, []
        for bound, count in zip((*self._bounds, float("inf")), self._counts, strict=True):
            total += count
            rows.append((bound, total))
        return rows

    def quantile(self, share: float) -> float | None:
        """What a share of the observations does not exceed: see ``core.quantile``."""
        buckets = [(None if isinf(bound) else bound, n) for bound, n in self.cumulative()]
        return quantile(buckets, share)
