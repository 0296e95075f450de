"""What the service says of itself over HTTP, as figures."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["Counts", "counts_of", "lag_buckets", "lag_p99_s", "reasons_in", "restarts"]

Counts = dict[str, int]

_LAG: Final = re.compile(r'^geoweir_loop_lag_seconds_bucket\{le="([^"]+)"\} (\S+)$', re.MULTILINE)
_RESTARTS: Final = re.compile(
    r'^geoweir_worker_restarts_total\{reason="([^"]+)"\} (\S+)$', re.MULTILINE
)
_OUTCOMES: Final = ("published", "filtered", "rejected", "reconciled")
_COUNTED: Final = (*_OUTCOMES, "received", "redelivered", "in_flight")
_P99: Final = 0.99


def counts_of(account: Mapping[str, Any]) -> dict[str, Counts]:
    """The counts of each stream, and ``settled``: those with an outcome."""
    found = {}
    for name, stream in account["streams"].items():
        counts = {key: int(stream[key]) for key in _COUNTED}
        found[name] = {**counts, "settled": sum(counts[key] for key in _OUTCOMES)}
    return found


def reasons_in(account: Mapping[str, Any], stream: str) -> dict[str, Counts]:
    """Why inputs of a stream were not published: counts by outcome and reason."""
    reasons: dict[str, Counts] = account["streams"][stream].get("reasons", {})
    return reasons


def lag_buckets(metrics: str) -> dict[float, float]:
    """How often the event loop was late, up to each bound in seconds."""
    return {float(bound): float(count) for bound, count in _LAG.findall(metrics)}


def restarts(metrics: str) -> Counts:
    """How many workers were replaced, by reason, without those that never were."""
    counts = {reason: int(float(count)) for reason, count in _RESTARTS.findall(metrics)}
    return {reason: count for reason, count in counts.items() if count}


def lag_p99_s(before: Mapping[float, float], after: Mapping[float, float]) -> float | None:
    """The 99th percentile of the lag between two readings, straight within its bucket.

    None where nothing was observed; the last finite bound where it is beyond all of them.
    """
    between = {bound: after[bound] - before.get(bound, 0.0) for bound in sorted(after)}
    wanted = _P99 * max(between.values(), default=0.0)
    if wanted <= 0:
        return None
    floor = below = 0.0
    for bound, count in between.items():
        if count >= wanted:
            if bound == float("inf"):
                return floor
            return floor + (bound - floor) * (wanted - below) / max(count - below, 1e-9)
        floor, below = bound, count
    return floor
