"""Which lines are suggested, and why: every rule at its edge."""

from __future__ import annotations

from dataclasses import replace

import pytest

from geoweir.sizing.results import Ceiling, Trial
from geoweir.sizing.rules import (
    Suggestion,
    cautions,
    fewest_workers,
    limit,
    plain_rate,
    queue_to_try,
    smallest_chunk,
    suggestions,
)
from support.sizing import CONFIGURED, IDLE, trial, worker_of

BEST = trial(1000.0)
HIGH = Ceiling(rate=1e6, tool=1.0, broker=1.0)


def suggested(
    by_workers: list[Trial] | None = None,
    by_chunk: list[Trial] | None = None,
    by_queue: Trial | None = None,
    **configured: float,
) -> list[Suggestion]:
    return suggestions(
        replace(CONFIGURED, **configured),  # type: ignore[arg-type]
        by_workers or [BEST],
        by_chunk or [BEST],
        by_queue,
    )


def test_a_configuration_that_fits_gets_no_line() -> None:
    assert suggested() == []


@pytest.mark.parametrize(
    ("rates", "workers"), [([1000, 1800], 2), ([949, 1000], 2), ([950, 1000], 1), ([1000, 700], 1)]
)
def test_the_fewest_workers_within_a_twentieth_are_chosen(rates: list[int], workers: int) -> None:
    trials = [trial(rate, number) for number, rate in enumerate(rates, 1)]
    assert fewest_workers(trials).setting.workers == workers


def test_workers_are_suggested_with_what_each_number_carries() -> None:
    by_workers = [trial(18_100, 2), trial(10_200, 1)]
    assert suggested(by_workers, workers=1, receive_window=65_535) == [
        Suggestion("pool", "workers", 2, "1 worker carries 10.2 k/s, 2 workers carry 18.1 k/s")
    ]


def test_the_smallest_chunk_within_a_twentieth_is_chosen_and_suggested() -> None:
    by_chunk = [trial(1000), trial(990, chunk=64), trial(900, chunk=32)]
    assert smallest_chunk(by_chunk).setting.chunk == 64
    (line,) = suggested(None, by_chunk)
    assert (line.key, line.value) == ("chunk", 64)
    assert line.reason == (
        "chunks of 32 carry 900/s, chunks of 64 carry 990/s, chunks of 128 carry 1,000/s"
    )


def test_memory_is_raised_to_twice_the_peak_where_the_cap_is_tight() -> None:
    assert suggested([worker_of(BEST, 90_000_000)]) == []
    (line,) = suggested([worker_of(BEST, 91_000_000)])
    assert (line.section, line.key, line.value) == ("pool", "memory", "190MB")


def test_memory_is_lowered_where_the_caps_together_are_too_much_for_the_machine() -> None:
    machine = 2 * 150_000_000 * 2
    assert suggested(machine_bytes=machine) == []
    (line,) = suggested(machine_bytes=machine - 2)
    assert line.value == "64MB"
    assert "2 workers of 150MB could take more than half" in line.reason


@pytest.mark.parametrize(("rate", "is_suggested"), [(1050, False), (1053, True)])
def test_a_queue_is_suggested_only_when_it_matters(rate: float, is_suggested: bool) -> None:
    lines = suggested(by_queue=trial(rate, queue=512))
    assert [(one.section, one.value) for one in lines] == [("queue", 512)] * is_suggested


def test_a_queue_is_tried_where_it_does_not_hold_two_chunks_for_each_worker() -> None:
    assert queue_to_try(trial(1, workers=2, chunk=125, queue=500)) is None
    assert queue_to_try(trial(1, workers=2, chunk=126, queue=500)) == 504


def test_the_window_holds_what_comes_while_an_input_hangs() -> None:
    # Half of 20,000/s for 0.25 s and an eighth of 4 s.
    (line,) = suggested(by_chunk=[trial(20_000)], receive_window=1000)
    assert (line.section, line.key, line.value) == ("mqtt", "receive_window", 8000)
    assert suggested(by_chunk=[trial(20_000)], receive_window=8000) == []


def test_the_window_is_bounded_by_the_protocol_and_by_memory() -> None:
    (line,) = suggested(by_chunk=[trial(1e6)], payload_bytes=1.0)
    assert line.value == 65_535
    (line,) = suggested(by_chunk=[trial(1e6)], payload_bytes=1000.0)
    assert line.value == 32_000


@pytest.mark.parametrize(
    ("load", "which"),
    [
        ({"tool": 0.9, "service": 0.95}, "tool"),
        ({"broker": 0.9}, "broker"),
        ({"service": 0.9, "workers": 2.0}, "service"),
        ({"workers": 1.7}, "workers"),
        ({"machine": 0.95}, "machine"),
        ({}, "unclear"),
    ],
)
def test_what_could_do_no_more_was_the_limit(load: dict[str, float], which: str) -> None:
    assert limit(replace(IDLE, **load), workers=2) == which


def test_a_reader_is_told_when_the_gateway_was_not_what_was_measured() -> None:
    def told(ceiling: Ceiling = HIGH, others: float = 0.0, **more: str) -> str:
        load = replace(IDLE, others=others)
        return " ".join(cautions(replace(BEST, load=load, **more), ceiling))  # type: ignore[arg-type]

    assert told() == ""
    assert "feeder and listener were the limit" in told(limit="tool")
    assert "broker was the limit" in told(limit="broker")
    assert "all cores were busy" in told(limit="machine")
    assert "without the service" in told(Ceiling(rate=1400.0, tool=0.5, broker=0.5))
    assert "other programs took 0.5 cores" in told(others=0.5)


def test_rates_read_well() -> None:
    assert [plain_rate(rate) for rate in (12.4, 9_999.0, 18_149.0)] == [
        "12/s",
        "9,999/s",
        "18.1 k/s",
    ]
