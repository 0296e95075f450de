"""Observers: bounded, counted, and in nobody's way."""

from __future__ import annotations

import gc
import weakref
from contextlib import ExitStack

import pytest

from geoweir.core.account import Account
from geoweir.core.outcome import Outcome
from geoweir.core.parcel import Parcel
from geoweir.core.work import SIGHTINGS, Sightings
from geoweir.telemetry.observers import MOST_RATE, MOST_WATCHERS, Observers, Seen, Watcher
from support.parcels import working

PUBLISHED, FILTERED, REJECTED = Outcome.PUBLISHED, Outcome.FILTERED, Outcome.REJECTED
AT = 1_790_000_000.0


class Rig:
    """Observers of two streams, and parcels of the first one."""

    def __init__(self) -> None:
        self.now = 0.0
        self.identified: list[bytes] = []
        self.observers = Observers(
            ["buses", "ships"], identify=self.identify, clock=lambda: self.now, wall=lambda: AT
        )
        self.account = Account(["buses"])
        self.ledger = self.account.open_lane("buses", "buses", 1, resumed=False)

    def identify(self, stream: str, payload: bytes, address: str) -> list[str]:
        assert stream == "buses"
        self.identified.append(payload)
        return [f"glance {address}"] if payload else []

    def chunk(self, count: int, *, sighted: bool = True) -> Parcel:
        parcel = working(self.account, self.ledger, count)
        if sighted:
            parcel.sightings = Sightings(
                "EPSG:4326", list(range(count)), [f"id {n}" for n in range(count)],
                [float(n) for n in range(count)], [1.0] * count, [None] * count,
            )  # fmt: skip
        return parcel

    def show(self, count: int, outcome: Outcome = PUBLISHED, reason: str = "") -> None:
        self.observers.show(self.chunk(count), range(count), outcome, reason)


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def next_of(watcher: Watcher) -> Seen | None:
    return await watcher.take(0.0)


async def drained(watcher: Watcher) -> list[Seen]:
    found = []
    while (seen := await next_of(watcher)) is not None:
        found.append(seen)
    return found


async def test_features_are_shown_in_columns_with_the_outcome_of_their_inputs(rig: Rig) -> None:
    with rig.observers.watch("buses") as watcher:
        parcel = rig.chunk(3)
        rig.observers.show(parcel, [0, 2], REJECTED, "refused")
        seen = await next_of(watcher)
        assert seen == Seen(
            "buses", AT, REJECTED, "refused", "EPSG:4326", ["id 0", "id 2"], ["in/0", "in/2"],
            [0.0, 2.0], [1.0, 1.0], [None, None],
        )  # fmt: skip
        assert await next_of(watcher) is None


def test_a_stream_is_watched_only_while_somebody_watches_it(rig: Rig) -> None:
    observers = rig.observers
    with observers.watch("buses"), observers.watch("buses"):
        assert observers.is_watched("buses")
        assert not observers.is_watched("ships")
        with observers.watch():
            assert observers.is_watched("ships")
        assert not observers.is_watched("ships")
        assert len(observers) == 2
    assert not observers.is_watched("buses")
    assert len(observers) == 0


async def test_only_the_outcome_that_is_wanted_is_shown_and_the_rest_not_missed(rig: Rig) -> None:
    with rig.observers.watch("buses", outcome=FILTERED) as watcher:
        rig.show(3)
        rig.show(1, FILTERED, "where")
        assert [(s.outcome, s.reason) for s in await drained(watcher)] == [(FILTERED, "where")]
        assert watcher.missed() == 0


async def test_voided_inputs_are_not_shown(rig: Rig) -> None:
    with rig.observers.watch() as watcher:
        parcel = rig.chunk(3)
        parcel.release([1])
        rig.observers.show(parcel, [0, 1, 2], PUBLISHED, "")
        (seen,) = await drained(watcher)
        assert seen.ids == ["id 0", "id 2"]
        parcel.release([0, 2])
        rig.observers.show(parcel, [0, 1, 2], PUBLISHED, "")
        assert await next_of(watcher) is None


async def test_inputs_that_no_worker_saw_have_their_topic_and_an_id_that_is_cheap(rig: Rig) -> None:
    parcel = rig.chunk(3, sighted=False)
    parcel.payloads[1] = b"x" * 1_000_000
    with rig.observers.watch() as watcher:
        rig.observers.show(parcel, [0, 1], FILTERED, "bbox")
        (seen,) = await drained(watcher)
    assert seen.ids == ["glance in/0", None]
    assert seen.topics == ["in/0", "in/1"]
    assert (seen.x, seen.times) == ([None, None], [None, None])
    assert max(map(len, rig.identified)) < 5000


async def test_an_input_that_the_worker_left_out_is_shown_all_the_same(rig: Rig) -> None:
    parcel = rig.chunk(3)
    assert parcel.sightings is not None
    parcel.sightings = Sightings("EPSG:4326", [1, 1], ["a", ""], [1.0, 2.0], [1.0, 2.0], [None] * 2)
    with rig.observers.watch() as watcher:
        rig.observers.show(parcel, [0, 1], PUBLISHED, "")
        (seen,) = await drained(watcher)
    assert seen.ids == ["a", None, "glance in/0"]
    assert seen.topics == ["in/1", "in/1", "in/0"]


async def test_a_slow_watcher_loses_the_oldest_and_is_told_how_many(rig: Rig) -> None:
    with rig.observers.watch() as slow, rig.observers.watch() as quick:
        got = 0
        for _ in range(40):
            rig.now += 1
            rig.show(100)
            got += sum(map(len, await drained(quick)))
        assert (got, quick.missed()) == (4000, 0)
        kept = await drained(slow)
        features = sum(map(len, kept))
        assert 900 <= features <= 1024
        assert slow.missed() == 4000 - features
        assert slow.missed() == 0
        assert kept[-1].ids[-1] == "id 99"


async def test_a_limit_is_never_exceeded_and_ends_the_watching(rig: Rig) -> None:
    with rig.observers.watch(limit=5) as watcher:
        for _ in range(4):
            rig.show(3)
        assert [len(seen) for seen in await drained(watcher)] == [3, 2]
        assert (watcher.ended, watcher.missed()) == ("limit", 1)
        rig.show(3)
        assert (await next_of(watcher), watcher.missed()) == (None, 0)


async def test_a_rate_lets_so_many_pass_a_second(rig: Rig) -> None:
    with rig.observers.watch(rate=10) as watcher:
        rig.show(25)
        rig.now = 0.5
        rig.show(25)
        assert [len(seen) for seen in await drained(watcher)] == [10, 5]
        assert watcher.missed() == 35
        rig.now = 100.0
        rig.show(25)
        assert [len(seen) for seen in await drained(watcher)] == [10]


async def test_an_event_has_so_many_features_at_most(rig: Rig) -> None:
    with rig.observers.watch() as watcher:
        rig.observers.show(rig.chunk(3000, sighted=False), range(3000), FILTERED, "bbox")
        (seen,) = await drained(watcher)
        assert (len(seen), watcher.missed()) == (SIGHTINGS, 3000 - SIGHTINGS)
    assert len(rig.identified) == SIGHTINGS


async def test_nothing_keeps_a_parcel_alive(rig: Rig) -> None:
    class Weak(Parcel):
        __slots__ = ("__weakref__",)

    plain = rig.chunk(2)
    parcel = Weak(**{name: getattr(plain, name) for name in Parcel.__slots__})
    gone = weakref.ref(parcel)
    with rig.observers.watch() as watcher:
        rig.observers.show(parcel, [0, 1], PUBLISHED, "")
        del parcel
        gc.collect()
        assert gone() is None
        assert len(await drained(watcher)) == 1


def test_there_are_so_many_watchers_at_most(rig: Rig) -> None:
    with ExitStack() as stack:
        for _ in range(MOST_WATCHERS):
            stack.enter_context(rig.observers.watch())
        assert rig.observers.is_full()
        with pytest.raises(ValueError, match="too many"), rig.observers.watch():
            pass
    assert not rig.observers.is_full()


@pytest.mark.parametrize("wrong", [{"limit": 0}, {"rate": 0}, {"rate": MOST_RATE + 1}])
def test_bounds_that_are_none_are_refused(rig: Rig, wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="none"), rig.observers.watch(**wrong):  # type: ignore[arg-type]
        pass
    with pytest.raises(ValueError, match="trams"), rig.observers.watch("trams"):
        pass


async def test_the_end_lets_out_what_waits_and_lets_nobody_in(rig: Rig) -> None:
    with rig.observers.watch() as watcher:
        rig.show(2)
        rig.observers.close("over")
        rig.show(2)
        assert [len(seen) for seen in await drained(watcher)] == [2]
        assert watcher.ended == "over"
    with rig.observers.watch() as late:
        assert await late.take(60.0) is None
        assert late.ended == "over"
