"""Quantiles of what was only counted by bucket. Pure."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["quantile"]


def quantile(buckets: Sequence[tuple[float | None, int]], share: float) -> float | None:
    """A quantile from counts up to each bound, linear within a bucket as Prometheus has it.

    None without observations. What lies beyond the last bound is given that bound: no more is
    known of it.
    """
    total = buckets[-1][1] if buckets else 0
    if total <= 0:
        return None
    rank = share * total
    low, below = 0.0, 0
    for bound, count in buckets:
        if bound is None:
            break
        if count >= rank:
            return low + (bound - low) * (rank - below) / max(1, count - below)
        low, below = bound, count
    return low
