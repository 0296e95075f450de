from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import pytest

from geoweir.telemetry.staging.memory import MemoryTracer


@pytest.fixture
def tracer() -> Iterator[MemoryTracer]:
    times = iter([10.0, 13.5])
    tracer = MemoryTracer(lambda: next(times))
    yield tracer
    tracer.close()
    assert not tracemalloc.is_tracing()


def test_what_grew_since_the_last_report_comes_first(tracer: MemoryTracer) -> None:
    first = tracer.report()
    kept = [bytes(1000) for _ in range(2000)]
    second = tracer.report()

    assert first["since_s"] is None
    assert first["traced_bytes"] < second["traced_bytes"]
    assert second["since_s"] == 3.5
    assert second["top"][0]["where"].startswith("telemetry/staging/test_memory.py:")
    assert second["top"][0]["more_bytes"] >= 1000 * len(kept)
    assert second["top"][0]["more_blocks"] >= len(kept)
    assert len(second["top"]) <= 25
