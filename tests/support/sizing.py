"""Results of measurements that nobody made."""

from __future__ import annotations

from dataclasses import replace

from geoweir.sizing.derived import Setting
from geoweir.sizing.results import Calm, Ceiling, Latency, Load, Memory, StreamOutcomes, Trial
from geoweir.sizing.rules import Configured
from geoweir.sizing.sweep import Findings

IDLE = Load(tool=0.1, broker=0.1, service=0.1, workers=0.1, others=0.0, machine=0.1)
CONFIGURED = Configured(
    workers=2,
    chunk=128,
    queue=500,
    timeout_s=4.0,
    memory=150_000_000,
    receive_window=10_000,
    receive_bytes=32_000_000,
    busiest_share=1.0,
    payload_bytes=300.0,
    machine_bytes=8 * 2**30,
)


def trial(rate: float, workers: int = 2, chunk: int = 128, queue: int = 500) -> Trial:
    return Trial(
        setting=Setting(workers, chunk, queue),
        rate=rate,
        seconds=3.0,
        cpu_us=100.0,
        lag_p99_ms=2.0,
        load=IDLE,
        memory=Memory(service=50_000_000, worker=20_000_000),
        limit="unclear",
        streams={},
    )


def worker_of(found: Trial, size: int) -> Trial:
    return replace(found, memory=Memory(service=50_000_000, worker=size))


def findings(*trials: Trial, **more: object) -> Findings:
    whole: dict[str, object] = {
        "ceiling": Ceiling(rate=50_000.0, tool=0.9, broker=0.5),
        "by_workers": trials,
        "by_chunk": trials,
        "by_queue": None,
        "best": trials[0],
        "calm": Calm(
            latencies=(
                Latency(
                    share=0.1, offered=100.0, rate=99.0, p50_ms=1.5, p99_ms=None, lag_p99_ms=None
                ),
            )
        ),
        "skipped": (),
    }
    return Findings(**{**whole, **more})  # type: ignore[arg-type]


def outcomes(**counts: int) -> StreamOutcomes:
    none = {"received": 100, "published": 0, "filtered": 0, "rejected": 0, "reconciled": 0}
    return StreamOutcomes(**(none | counts), reasons={"filtered": {"where": 1}})
