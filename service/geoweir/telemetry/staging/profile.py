"""Where the workers' time goes, by stream and step, from what they measure anyway."""

from __future__ import annotations

from typing import TypedDict

from geoweir.telemetry.histogram import Histogram
from geoweir.telemetry.metrics import Metrics, StreamMeters

__all__ = ["Spent", "StreamProfile", "profile"]


class Spent(TypedDict):
    """Time of chunks in one place, in seconds."""

    count: int
    seconds: float
    p50_s: float | None  # within the bucket's bounds; None without a chunk
    p99_s: float | None


class StreamProfile(TypedDict):
    """One stream: whole chunks as the service sees them, and each step in the worker.

    ``other_s`` is what is in no step: decoding, encoding, and the way to the worker and back.
    """

    chunk: Spent
    steps: dict[str, Spent]
    other_s: float


def profile(metrics: Metrics) -> dict[str, StreamProfile]:
    """Every stream since the start."""
    return {name: _stream(meters) for name, meters in metrics.streams.items()}


def _stream(meters: StreamMeters) -> StreamProfile:
    inside = sum(histogram.sum for histogram in meters.steps.values())
    return {
        "chunk": _spent(meters.chunk_s),
        "steps": {label: _spent(histogram) for label, histogram in meters.steps.items()},
        "other_s": max(0.0, meters.chunk_s.sum - inside),
    }


def _spent(histogram: Histogram) -> Spent:
    return {
        "count": histogram.count,
        "seconds": histogram.sum,
        "p50_s": histogram.quantile(0.5),
        "p99_s": histogram.quantile(0.99),
    }
