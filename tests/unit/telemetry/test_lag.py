import asyncio
import time

import pytest

from geoweir.telemetry.lag import LagMeter


def test_a_blocked_loop_counts_the_wake_ups_that_did_not_happen() -> None:
    seen: list[float] = []
    meter = LagMeter(seen.append)

    meter.late(0.21)

    assert seen == pytest.approx([0.21, 0.16, 0.11, 0.06, 0.01])


def test_p99_is_zero_before_anything_was_measured() -> None:
    assert LagMeter(lambda _: None).p99_s() == 0.0


def test_p99_leaves_out_the_worst_hundredth() -> None:
    meter = LagMeter(lambda _: None)
    for lag_ms in range(100):
        meter.late(lag_ms / 10_000)

    assert meter.p99_s() == pytest.approx(0.0098)


def test_only_the_last_minute_counts() -> None:
    meter = LagMeter(lambda _: None)
    meter.late(0.04)
    for _ in range(1200):
        meter.late(0.001)

    assert meter.p99_s() == 0.001
    assert max(meter._last) == 0.001


def test_a_very_long_stall_is_bounded_work() -> None:
    seen: list[float] = []

    LagMeter(seen.append).late(1e6)

    assert len(seen) == 1201


def test_an_early_wake_up_is_no_lag() -> None:
    seen: list[float] = []

    LagMeter(seen.append).late(-0.001)

    assert seen == [0.0]


async def test_a_loop_that_stands_still_is_seen() -> None:
    blocked = asyncio.Event()
    seen: list[float] = []

    def note(lag_s: float) -> None:
        seen.append(lag_s)
        if lag_s > 0.1:
            blocked.set()

    async with asyncio.TaskGroup() as tasks:
        measuring = tasks.create_task(LagMeter(note).run(), name="lag")
        await asyncio.sleep(0)  # let it begin its wait
        time.sleep(0.2)  # noqa: ASYNC251 - the fault under test
        await blocked.wait()
        measuring.cancel()

    assert max(seen) > 0.1
