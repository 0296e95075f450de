from __future__ import annotations

import pytest

from geoweir.core.account import Ledger
from geoweir.core.backlog import PATIENCE_S, Backlog
from geoweir.core.lane import DURABLE
from geoweir.core.parcel import Parcel

LEDGERS = {name: Ledger(name, name, 1) for name in ("alarms", "buses", "logs")}


def parcel(stream: str, payloads: list[bytes], *, first: int = 0, arrived: float = 0.0) -> Parcel:
    count = len(payloads)
    return Parcel(
        ledger=LEDGERS[stream],
        positions=list(range(first, first + count)),
        payloads=payloads,
        addresses=["t"] * count,
        headers=[()] * count,
        flags=bytes([DURABLE]) * count,
        received=[0.0] * count,
        arrived=arrived,
        payload_bytes=sum(map(len, payloads)),
        open=bytearray(b"\1") * count,
    )


def backlog(*, chunk: int = 4, chunk_bytes: int = 1000) -> Backlog:
    priorities = {"alarms": "high", "buses": "normal", "logs": "low"}
    return Backlog(priorities, chunk=chunk, chunk_bytes=chunk_bytes)  # type: ignore[arg-type]


def test_a_chunk_joins_parcels_and_keeps_their_order() -> None:
    waiting = backlog()
    waiting.add(parcel("buses", [b"a", b"b"]))
    waiting.add(parcel("buses", [b"c", b"d", b"e"], first=2))
    assert waiting.take(0.0).payloads == [b"a", b"b", b"c", b"d"]
    rest = waiting.take(0.0)
    assert (rest.payloads, rest.positions) == ([b"e"], [4])
    assert len(waiting) == 0


def test_a_chunk_stays_within_its_bytes() -> None:
    waiting = backlog(chunk_bytes=10)
    waiting.add(parcel("buses", [b"12345", b"12345", b"1"]))
    assert [len(waiting.take(0.0)), len(waiting.take(0.0))] == [2, 1]


def test_one_input_larger_than_a_chunk_is_a_chunk() -> None:
    waiting = backlog(chunk_bytes=10)
    waiting.add(parcel("buses", [b"x" * 100, b"y"]))
    assert waiting.take(0.0).payloads == [b"x" * 100]
    assert waiting.take(0.0).payloads == [b"y"]


def test_a_collection_counts_as_its_features() -> None:
    collection = b'{"geometry": 1}' * 100
    waiting = backlog(chunk=128, chunk_bytes=10**6)
    waiting.add(parcel("buses", [collection, collection, b"x"]))
    assert [len(waiting.take(0.0)), len(waiting.take(0.0))] == [1, 2]


def test_a_higher_priority_goes_first() -> None:
    waiting = backlog()
    waiting.add(parcel("logs", [b"low"], arrived=0.0))
    waiting.add(parcel("buses", [b"normal"], arrived=1.0))
    waiting.add(parcel("alarms", [b"high"], arrived=1.5))
    assert [waiting.take(1.6).payloads[0] for _ in range(3)] == [b"high", b"normal", b"low"]


def test_nothing_waits_longer_than_patience_behind_higher_ones() -> None:
    waiting = backlog()
    waiting.add(parcel("logs", [b"low"], arrived=0.0))
    waiting.add(parcel("alarms", [b"high"], arrived=PATIENCE_S))
    assert waiting.take(PATIENCE_S + 0.1).payloads == [b"low"]


def test_a_chunk_never_mixes_ledgers() -> None:
    waiting = backlog()
    waiting.add(parcel("buses", [b"a"]))
    later = parcel("buses", [b"b"])
    later.ledger = Ledger("buses", "buses", 2)
    waiting.add(later)
    assert [len(waiting.take(0.0)), len(waiting.take(0.0))] == [1, 1]


def test_topping_up_takes_what_fits_of_the_same_lane() -> None:
    waiting = backlog()
    waiting.add(parcel("buses", [b"a"]))
    chunk = waiting.take(0.0)
    waiting.add(parcel("buses", [b"b", b"c", b"d", b"e"], first=1))
    waiting.top_up(chunk)
    assert (len(chunk), len(waiting)) == (4, 1)


def test_an_empty_backlog_has_no_chunk() -> None:
    with pytest.raises(IndexError):
        backlog().take(0.0)


def test_a_voided_parcel_holds_only_what_does_not_come_again() -> None:
    mixed = parcel("buses", [b"a", b"b", b"c"])
    mixed.flags = bytes([DURABLE, 0, DURABLE])
    mixed.void()
    mixed.release([0])
    assert mixed.held == 1
    assert mixed.without_released().payloads == [b"b"]
