"""Figures from what the service says of itself."""

from __future__ import annotations

import pytest

from geoweir.sizing.readings import counts_of, lag_buckets, lag_p99_s, restarts
from geoweir.telemetry.exposition import render
from geoweir.telemetry.metrics import Metrics
from geoweir.telemetry.snapshot import Snapshot


def shown(*lags: float, restarted: int = 0) -> str:
    metrics = Metrics(streams={}, version="0")
    for lag in lags:
        metrics.lag(lag)
    for _ in range(restarted):
        metrics.worker_restarted("memory")
    return render(metrics, Snapshot(streams={}, in_flight={}, unaccounted=0)).decode()


def test_the_lag_between_two_scrapes_is_told() -> None:
    before = lag_buckets(shown(9.0))
    after = lag_buckets(shown(9.0, *[0.0005] * 50, *[0.0015] * 50))
    assert lag_p99_s(before, after) == pytest.approx(0.001 + 0.0015 * 49 / 50)


def test_without_an_observation_there_is_no_lag() -> None:
    same = lag_buckets(shown(0.1))
    assert lag_p99_s(same, same) is None
    assert lag_p99_s({}, {}) is None


def test_a_lag_beyond_all_bounds_is_at_least_the_last_one() -> None:
    assert lag_p99_s({}, lag_buckets(shown(99.0))) == 10.0


def test_replaced_workers_are_counted_by_reason() -> None:
    assert restarts(shown()) == {}
    assert restarts(shown(restarted=3)) == {"memory": 3}


def test_settled_are_those_with_an_outcome() -> None:
    stream = {
        "received": 10,
        "published": 4,
        "filtered": 3,
        "rejected": 2,
        "reconciled": 1,
        "in_flight": 0,
        "redelivered": 0,
        "reasons": {},
    }
    assert counts_of({"streams": {"a": stream}})["a"]["settled"] == 10
