"""What ``top`` makes of two readings, and how it looks."""

from __future__ import annotations

import json
import random
from typing import Any

import msgspec
import pytest

from geoweir.cli.panel import panel, plain
from geoweir.cli.readings import Reading, decode, view
from geoweir.core.quantile import quantile

BOUNDS = (0.01, 0.1, 1.0)


def reading(up_s: float = 100.0, *, counts: tuple[int, ...] = (0, 0, 0, 0), **changes: Any) -> Any:
    totals = {
        "received": 0, "published": 0, "filtered": 0, "rejected": 0, "reconciled": 0,
        "in_flight": 0, "redelivered": 0,
    }  # fmt: skip
    state = {
        "version": "1.2.3", "started": 5.0, "up_s": up_s, "state": "online",
        "account": {"streams": {"buses": totals | changes.pop("totals", {})}, "unaccounted": 0},
        "streams": {
            "buses": {
                "oldest_s": 0.25, "is_paused": False,
                "latency": [*zip(BOUNDS, counts, strict=False), (None, counts[-1])],
            }
        },
        "queue": {"messages": 3, "limit": 500},
        "connections": [{"direction": "out", "stream": "", "up": True, "detail": ""}],
        "workers": [
            {"worker": 0, "state": "busy", "busy_s": changes.pop("busy_s", 0.0),
             "private_bytes": 52_000_000, "restarts": 1}
        ],
        "worker_memory_limit": 150_000_000, "loop_lag_p99_s": 0.0012,
    }  # fmt: skip
    return decode(json.dumps(state | changes).encode())


def test_rates_latencies_and_business_are_those_between_the_readings() -> None:
    before = reading(totals={"received": 100, "published": 90}, counts=(90, 90, 90, 90), busy_s=9.0)
    now = reading(
        102.0, totals={"received": 150, "published": 130}, counts=(90, 130, 130, 130), busy_s=10.0
    )
    shown = view(before, now)
    buses = shown.streams["buses"]
    assert shown.between_s == 2
    assert (buses.per_second["received"], buses.per_second["published"]) == (25, 20)
    # All 40 lie between 0.01 and 0.1.
    assert buses.latency_p50_s == pytest.approx(0.055)
    assert buses.latency_p99_s == pytest.approx(0.0991)
    assert shown.workers[0].busy == 0.5
    assert shown.account.streams["buses"].published == 130


def test_without_anything_to_compare_with_there_are_no_rates() -> None:
    now = reading()
    for before in (None, reading(50.0, started=4.0), reading(200.0)):
        shown = view(before, now)
        assert shown.between_s is None
        assert set(shown.streams["buses"].per_second.values()) == {None}
        assert shown.workers[0].busy is None


def test_what_a_lost_connection_voided_makes_no_negative_rate() -> None:
    shown = view(reading(totals={"received": 100}), reading(101.0, totals={"received": 40}))
    assert shown.streams["buses"].per_second["received"] == 0


def test_nothing_published_has_no_latency() -> None:
    buses = view(reading(), reading(101.0)).streams["buses"]
    assert (buses.latency_p50_s, buses.latency_p99_s) == (None, None)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 0.99, 1.0])
def test_a_quantile_lies_in_the_bucket_of_the_true_one(share: float) -> None:
    source = random.Random(7)
    values = sorted(source.expovariate(20) for _ in range(1000))
    bounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0]
    buckets: list[tuple[float | None, int]] = [
        *((bound, sum(value <= bound for value in values)) for bound in bounds),
        (None, len(values)),
    ]
    true = values[max(0, round(share * len(values)) - 1)]
    found = quantile(buckets, share)
    assert found is not None
    above = next(bound for bound in bounds if true <= bound)
    below = max((bound for bound in bounds if bound < true), default=0.0)
    assert below <= found <= above


def test_beyond_the_last_bound_is_the_last_bound() -> None:
    assert quantile([(0.1, 0), (1.0, 0), (None, 5)], 0.5) == 1.0


@pytest.mark.parametrize("body", [b"", b"[]", b'{"version":1}', b"\xff", b"{}"])
def test_what_is_no_reading_is_refused(body: bytes) -> None:
    with pytest.raises((msgspec.MsgspecError, UnicodeDecodeError)):
        decode(body)


def many(count: int, name: str = "stream {}") -> Reading:
    shown: Reading = reading()
    for n in range(count):
        shown.streams[name.format(n)] = shown.streams["buses"]
        shown.account.streams[name.format(n)] = shown.account.streams["buses"]
    return shown


@pytest.mark.parametrize("width", [80, 100, 200])
@pytest.mark.parametrize("count", [0, 3, 60])
def test_the_panel_fits_its_terminal(width: int, count: int) -> None:
    before, now = many(count), many(count)
    big = 123_456_789_012
    for totals in now.account.streams.values():
        totals.received = totals.published = totals.in_flight = big
    now.up_s += 1
    lines = panel(view(before, now), "http://127.0.0.1:9108", width, 24)
    assert len(lines) <= 24
    assert max(map(len, lines)) <= width
    assert "123.46G" in "\n".join(lines)


def test_the_panel_says_what_is_wrong() -> None:
    now = reading()
    now.account.unaccounted = 3
    now.connections[0].up = False
    now.streams["buses"].is_paused = True
    text = "\n".join(panel(view(None, now), "here", 80, 40))
    assert "UNACCOUNTED 3" in text
    assert "DOWN: out" in text
    assert "paused" in text


def test_names_are_escaped_wherever_they_stand() -> None:
    evil = "\x1b[2J{}"
    now = many(1, evil)
    now.connections[0].stream = now.connections[0].direction = evil
    now.connections[0].up = False
    now.state = now.version = now.workers[0].state = evil
    shown = view(None, now)
    for text in (*panel(shown, "here", 80, 40), *plain(shown)):
        assert text.isprintable(), text
    assert any("stream=\\x1b[2J0" in text for text in plain(shown))


def test_plain_lines_are_one_for_the_service_and_one_for_each_stream() -> None:
    now = reading(101.0, totals={"received": 5}, counts=(0, 2, 2, 2))
    service, buses = plain(view(reading(), now))
    assert service == (
        "state=online unaccounted=0 queue=3/500 workers=busy loop_lag_p99=1.2ms down=none"
    )
    assert buses.startswith("stream=buses received/s=5.0 published/s=0 filtered/s=0")
    assert buses.endswith("in_flight=0 oldest=250.0ms p50=55.0ms p99=99.1ms")
