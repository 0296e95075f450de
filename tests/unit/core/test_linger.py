from __future__ import annotations

import pytest

from geoweir.core.linger import Linger


def steady(linger: Linger, rate: float, *, seconds: float = 1.0) -> float:
    """Takes inputs at a rate, in chunks of ten; the moment of the last one."""
    now = 100.0
    for _ in range(int(rate * seconds / 10)):
        now += 10 / rate
        linger.note(now, 10)
    return now


@pytest.mark.parametrize("rate", [10, 100, 1000, 3000])
def test_at_low_rates_nothing_waits(rate: float) -> None:
    linger = Linger(chunk=128, linger_s=0.002)
    assert linger.wait_s(steady(linger, rate), 1) == 0.0


def test_at_high_rates_a_chunk_waits_until_it_is_full_and_no_longer() -> None:
    linger = Linger(chunk=128, linger_s=0.002)
    now = steady(linger, 100_000)
    assert linger.wait_s(now, 28) == pytest.approx(100 / 100_000, rel=0.1)
    assert linger.wait_s(now, 1) == pytest.approx(127 / 100_000, rel=0.1)
    assert linger.wait_s(now, 128) == 0.0
    assert linger.wait_s(now, 200) == 0.0


def test_the_wait_has_a_bound() -> None:
    linger = Linger(chunk=128, linger_s=0.002)
    assert linger.wait_s(steady(linger, 10_000), 1) == 0.002


def test_after_a_flood_nothing_waits() -> None:
    linger = Linger(chunk=128, linger_s=0.002)
    now = steady(linger, 100_000)
    assert linger.wait_s(now + 1.0, 1) == 0.0


def test_without_linger_nothing_waits() -> None:
    linger = Linger(chunk=128, linger_s=0.0)
    assert linger.wait_s(steady(linger, 100_000), 1) == 0.0
