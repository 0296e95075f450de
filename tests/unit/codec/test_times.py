from __future__ import annotations

import pytest

from geoweir.codec.times import check_ahead, read_time
from geoweir.core.spec import Fields
from geoweir.errors import SenderError
from support.chunks import NOW, decode, feature, stream

NOON = 1_718_452_800.0  # 2024-06-15T12:00:00Z


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        (NOON, NOON),
        (int(NOON), NOON),
        ("1718452800", NOON),
        ("1718452800.5", NOON + 0.5),
        ("2024-06-15T12:00:00Z", NOON),
        ("2024-06-15t12:00:00z", NOON),
        ("2024-06-15T12:00:00", NOON),
        ("2024-06-15 12:00:00.250", NOON + 0.25),
        ("2024-06-15T14:00:00+02:00", NOON),
        ("20240615T120000Z", NOON),
        ("2016-12-31T23:59:60Z", 1_483_228_799.999),
        ("2016-12-31T23:59:60.5Z", 1_483_228_799.999),
        ("2000-01-01T00:00:00Z", 946_684_800.0),
        ("9998-12-31T23:59:59Z", 253_370_764_799.0),
    ],
)
def test_t13_a_time_is_read_in_each_form(value: object, seconds: float | None) -> None:
    assert read_time(value) == seconds


@pytest.mark.parametrize(
    "value",
    [
        True, [], {}, "", "soon", "nan", "inf", "1_000", "1e400", 0, -1, 1e18, 1e308, "20240615",
        "9999-01-01T00:00:00Z", "1999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00",
        "2024-13-01T00:00:00Z", "2024-06-15T12:60:60Z", "1" * 65, 10**300,
    ],
)  # fmt: skip
def test_t13_an_unreadable_or_impossible_time_is_rejected(value: object) -> None:
    with pytest.raises(SenderError) as caught:
        read_time(value)

    assert caught.value.reason == "time"


def test_t13_milliseconds_for_seconds_are_said_so() -> None:
    with pytest.raises(SenderError, match="milliseconds"):
        read_time(NOON * 1000)


def test_t13_a_fix_too_far_ahead_is_refused_and_a_near_one_is_not() -> None:
    check_ahead(NOW + 300, NOW, 300)

    with pytest.raises(SenderError) as caught:
        check_ahead(NOW + 301, NOW, 300)

    assert caught.value.reason == "ahead"


def test_t14_a_gateway_that_woke_up_in_1970_refuses_nothing_as_ahead() -> None:
    spec = stream(fields=Fields(time="properties.t"))

    assert not decode(feature(None, t=NOW), spec=spec, now=120.0).rejected


def test_t13_one_future_fix_is_rejected_and_its_neighbours_are_not() -> None:
    spec = stream(fields=Fields(time="properties.t"))
    payloads = [feature(None, t=t) for t in (NOW, NOW + 86_400, NOW - 5)]

    decoded = decode(*payloads, feature(None), feature(None, t=None), spec=spec)

    assert {i: r.reason for i, r in decoded.rejected.items()} == {1: "ahead"}
    assert decoded.features.times == [NOW, NOW - 5, None, None]
