"""The way back: what is sent again, what is kept until when, and what is never sent twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest

from geoweir.core.account import Account, Ledger
from geoweir.core.kept import Selection
from geoweir.core.lane import DURABLE, REPEATED, Batch, LaneOpened
from geoweir.core.outcome import Outcome
from geoweir.core.parcel import Parcel
from geoweir.stages import retries
from geoweir.stages.retries import Retries
from geoweir.store.sqlite import SqliteStore
from support.eventually import until
from support.keeping import drop, open_store

ALL = Selection()


class Rig:
    """Retries of the streams s and t, on a store in memory."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self.settled: list[tuple[str, Outcome, int]] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.retries = Retries(
            store=store,
            streams=["s", "t"],
            spawn=self.spawn,
            on_settled=lambda *said: self.settled.append(said),
            is_empty=lambda: not store.totals.inputs,
            wall=lambda: 99.0,
        )
        self.ledger: Ledger | None = None

    def spawn(self, work: Coroutine[Any, Any, None], *, name: str) -> None:
        self.tasks.append(asyncio.get_running_loop().create_task(work, name=name))

    async def keep(self, *names: str, **more: Any) -> None:
        await self.store.keep([drop(name, **more) for name in names])

    async def received(self, stream: str = "s") -> Parcel:
        """What the stream's lane hands over next, as intake makes it."""
        async for event in self.retries.lanes[stream].batches():
            if isinstance(event, LaneOpened):
                account = Account([stream])
                self.ledger = account.open_lane(stream, event.lane, event.epoch, resumed=False)
                continue
            assert isinstance(event, Batch)
            assert self.ledger is not None
            count = len(event)
            self.ledger.open(event.first, event.flags, 0.0)
            return Parcel(
                ledger=self.ledger,
                positions=list(range(event.first, event.first + count)),
                payloads=list(event.payloads),
                addresses=list(event.addresses),
                headers=list(event.headers),
                flags=event.flags,
                received=[event.received] * count,
                arrived=0.0,
                payload_bytes=0,
                open=bytearray(b"\1") * count,
            )
        raise AssertionError("the lane ended")

    async def kept(self) -> list[str]:
        await asyncio.gather(*self.tasks)
        return [one.topic for one in await self.store.find(ALL, most=1000)]


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with open_store(None) as store:
        yield Rig(store)


async def test_a_retried_input_is_a_new_one_of_its_stream_with_all_it_had(rig: Rig) -> None:
    await rig.keep("a", headers=(("h", "v"),), payload=b"p")
    said = await rig.retries.retry(ALL)
    assert (said.taken, said.skipped, said.more) == (1, 0, False)
    parcel = await rig.received()
    assert (parcel.addresses, parcel.payloads) == (["in/a"], [b"p"])
    assert parcel.headers == [(("h", "v"),)]
    assert (parcel.flags, parcel.received) == (b"\0", [99.0])
    assert parcel.ledger.lane != "s"
    assert rig.retries.earlier(parcel, 0) == 1
    assert len(rig.retries) == 1


@pytest.mark.parametrize("outcome", [Outcome.PUBLISHED, Outcome.FILTERED])
async def test_what_came_home_is_kept_no_longer(rig: Rig, outcome: Outcome) -> None:
    await rig.keep("a", "b")
    await rig.retries.retry(ALL)
    parcel = await rig.received()
    assert await rig.kept() == ["in/a", "in/b"]  # until it has its outcome
    rig.retries.settled(parcel, [0], outcome)
    assert await rig.kept() == ["in/b"]
    assert (len(rig.retries), rig.settled) == (1, [("s", outcome, 1)])
    rig.retries.settled(parcel, range(2), outcome)  # told again of one: once is enough
    assert await rig.kept() == []
    assert rig.settled[1:] == [("s", outcome, 1)]


@pytest.mark.parametrize("outcome", [Outcome.REJECTED, Outcome.RECONCILED])
async def test_what_is_dropped_again_stays_and_may_be_sent_again(
    rig: Rig, outcome: Outcome
) -> None:
    await rig.keep("a")
    await rig.retries.retry(ALL)
    parcel = await rig.received()
    await rig.store.keep([drop("a", earlier=rig.retries.earlier(parcel, 0))])
    rig.retries.settled(parcel, [0], outcome)
    (one,) = await rig.store.find(ALL, most=9)
    assert one.attempts == 2
    assert (await rig.retries.retry(ALL)).taken == 1
    assert rig.retries.earlier(await rig.received(), 0) == 2


async def test_what_is_on_its_way_is_not_sent_a_second_time(rig: Rig) -> None:
    await rig.keep("a", "b")
    one, other = await asyncio.gather(rig.retries.retry(ALL), rig.retries.retry(ALL))
    assert (one.taken + other.taken, one.skipped + other.skipped) == (2, 2)


async def test_a_retry_does_not_follow_its_own_tail(rig: Rig) -> None:
    await rig.keep("a")
    said = await rig.retries.retry(ALL)
    await rig.received()
    await rig.keep("new")
    again = await rig.retries.retry(Selection(after=said.after, up_to=said.up_to))
    assert (again.taken, again.skipped, again.more) == (0, 0, False)


async def test_no_more_than_so_many_are_under_way_and_the_rest_follows(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "MOST_AT_ONCE", 3)
    await rig.keep(*"abcde")
    said = await rig.retries.retry(ALL)
    assert (said.taken, said.more) == (3, True)
    rest = Selection(after=said.after, up_to=said.up_to)
    full = await rig.retries.retry(rest)
    assert (full.taken, full.after, full.more) == (0, said.after, True)
    rig.retries.settled(await rig.received(), range(3), Outcome.PUBLISHED)
    await rig.kept()
    said = await rig.retries.retry(rest)
    assert (said.taken, said.more) == (2, False)


async def test_an_input_of_a_stream_that_is_not_configured_stays(rig: Rig) -> None:
    await rig.keep("a", stream="gone")
    await rig.keep("b", stream="t")
    said = await rig.retries.retry(ALL)
    assert (said.taken, said.skipped) == (1, 1)
    assert (await rig.received("t")).addresses == ["in/b"]
    assert await rig.kept() == ["in/a", "in/b"]


async def test_a_closed_lane_ends_and_what_waited_in_it_stays_kept(rig: Rig) -> None:
    await rig.keep("a")
    await rig.retries.retry(ALL)
    lane = rig.retries.lanes["s"]
    await lane.close()
    assert [event async for event in lane.batches()] == []
    assert await rig.kept() == ["in/a"]


async def test_an_idle_lane_ends_when_it_is_closed(rig: Rig) -> None:
    lane = rig.retries.lanes["s"]
    reading = asyncio.ensure_future(anext(lane.batches(), None))
    await asyncio.sleep(0)
    await lane.close()
    assert await asyncio.wait_for(reading, 5) is None


async def test_a_redelivery_that_is_published_need_not_be_kept_any_longer(rig: Rig) -> None:
    await rig.keep("a", "b", "c")
    await until(lambda: rig.store.totals.inputs == 3)
    ledger = Account(["s"]).open_lane("s", "s", 1, resumed=False)
    parcel = Parcel(
        ledger=ledger,
        positions=[0, 1, 2],
        payloads=[b"payload"] * 3,
        addresses=["in/a", "in/b", "in/c"],
        headers=[()] * 3,
        flags=bytes([DURABLE, DURABLE | REPEATED, DURABLE | REPEATED]),
        received=[1.0] * 3,
        arrived=0.0,
        payload_bytes=0,
        open=bytearray(b"\1") * 3,
    )
    rig.retries.settled(parcel, [0, 1, 2], Outcome.RECONCILED)
    assert await rig.kept() == ["in/a", "in/b", "in/c"]
    rig.retries.settled(parcel, [0, 1], Outcome.PUBLISHED)
    assert await rig.kept() == ["in/a", "in/c"]
    assert rig.settled == []
