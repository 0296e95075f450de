from __future__ import annotations

import pytest

from geoweir.telemetry.metrics import Metrics
from geoweir.telemetry.staging.profile import profile


def test_time_by_stream_and_step() -> None:
    metrics = Metrics(streams={"a": ["join", "python"], "b": []}, version="1")
    for _ in range(100):
        metrics.chunk_done("a", features=10, seconds=0.1, step_seconds=[0.02, 0.05])

    shown = profile(metrics)

    assert list(shown["a"]["steps"]) == list(metrics.streams["a"].steps)
    join, python = shown["a"]["steps"].values()
    assert join["count"] == 100
    assert join["seconds"] == pytest.approx(2.0)
    assert 0.0 < (join["p50_s"] or 0.0) <= (join["p99_s"] or 0.0) <= (python["p99_s"] or 0.0)
    assert shown["a"]["other_s"] == pytest.approx(3.0)
    assert shown["b"]["chunk"] == {"count": 0, "seconds": 0.0, "p50_s": None, "p99_s": None}
