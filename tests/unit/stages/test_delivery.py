"""Delivery and settlement together: no acknowledgement before the outcome's messages have one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from geoweir.core.account import Account, Ledger
from geoweir.core.lane import Batch, LaneClosed, LaneOpened
from geoweir.core.outcome import Outcome, outcome_of
from geoweir.core.parcel import Parcel
from geoweir.core.spec import StreamSpec
from geoweir.core.verdict import Verdict
from geoweir.core.work import MessageKind, OutMessage
from geoweir.ports import Outgoing, Refusal
from geoweir.stages.delivery import BACKLOG_BYTES, Delivery
from geoweir.stages.settlement import Settlement
from support.parcels import working

SPEC = StreamSpec(name="buses", subscribe=("in/#",))
PUBLISHED = outcome_of(Outcome.PUBLISHED)
FILTERED = outcome_of(Outcome.FILTERED, "where")
REJECTED = outcome_of(Outcome.REJECTED, "json")


@dataclass
class Answering:
    """An outlet whose answers the test gives: when and what."""

    sent: list[tuple[list[Outgoing], asyncio.Future[list[Refusal | None]]]] = field(
        default_factory=list
    )
    flows: list[str] = field(default_factory=list)

    def send(
        self, messages: Sequence[Outgoing], *, flow: str = ""
    ) -> asyncio.Future[list[Refusal | None]]:
        self.flows.append(flow)
        future: asyncio.Future[list[Refusal | None]] = asyncio.get_running_loop().create_future()
        if not messages:
            future.set_result([])
        self.sent.append((list(messages), future))
        return future

    def answer(self, at: int, *refusals: Refusal | None) -> None:
        messages, future = self.sent[at]
        future.set_result(list(refusals) or [None] * len(messages))


@dataclass
class Noting:
    """An inlet that notes what is settled."""

    settled: list[int] = field(default_factory=list)
    each: list[int] = field(default_factory=list)

    async def batches(self) -> AsyncIterator[Batch | LaneOpened | LaneClosed]:
        return
        yield

    def settle(self, lane: str, epoch: int, position: int) -> None:
        assert (lane, epoch) == ("buses", 1)
        self.settled.append(position)

    def settle_each(self, lane: str, epoch: int, positions: Sequence[int]) -> None:
        assert (lane, epoch) == ("buses", 1)
        self.each += positions

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    async def close(self) -> None: ...

    async def disconnect(self) -> None: ...


class Rig:
    def __init__(self, *, any_order: bool = False) -> None:
        self.account = Account(["buses"])
        self.ledger: Ledger = self.account.open_lane("buses", "buses", 1, resumed=False)
        self.outlet, self.inlet = Answering(), Noting()
        self.refused: list[tuple[str, MessageKind, str, Refusal]] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.kept: list[tuple[Parcel, dict[int, Sequence[int]], dict[int, str]]] = []
        self.durable = asyncio.Event()
        self.durable.set()
        settlement = Settlement(
            account=self.account,
            inlets={"buses": self.inlet},
            any_order=any_order,
            clock=lambda: 1.0,
            on_settled=lambda *_: None,
        )
        self.delivery = Delivery(
            streams=(SPEC,),
            account=self.account,
            outlet=self.outlet,
            settle=settlement.settle,
            spawn=self.spawn,
            identify=lambda _stream, _payload, _address: ["bus 1"],
            on_refused=lambda *refusal: self.refused.append(refusal),
            keep=self.keep,
        )

    async def keep(
        self,
        parcel: Parcel,
        groups: Mapping[int, Sequence[int]],
        messages: Sequence[OutMessage],
        details: Mapping[int, str],
    ) -> None:
        del messages
        self.kept.append((parcel, dict(groups), dict(details)))
        await self.durable.wait()

    def spawn(self, work: Coroutine[Any, Any, None], *, name: str) -> None:
        self.tasks.append(asyncio.ensure_future(work))
        self.tasks[-1].set_name(name)

    async def turn(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)
        for task in self.tasks:
            if task.done():
                task.result()

    def chunk(self, count: int) -> Parcel:
        return working(self.account, self.ledger, count)

    def held(self) -> int:
        return sum(parcel.held for parcel in self.delivery.parcels())

    def unaccounted(self) -> int:
        return self.account.unaccounted({"buses": self.held()})


def results(count: int, size: int = 10) -> list[OutMessage]:
    return [
        OutMessage(n, MessageKind.RESULT, f"out/{n}", b"x" * size, f"key-{n}") for n in range(count)
    ]


async def test_nothing_is_settled_before_the_broker_answered() -> None:
    rig = Rig()
    rig.delivery.deliver(Verdict(rig.chunk(3), bytes([PUBLISHED] * 3), results(3)))
    await rig.turn()
    assert (rig.inlet.settled, rig.held()) == ([], 3)
    rig.outlet.answer(0)
    await rig.turn()
    assert rig.inlet.settled == [2]
    assert rig.account.totals["buses"].of(Outcome.PUBLISHED) == 3
    assert (rig.held(), rig.unaccounted()) == (0, 0)


async def test_acknowledgements_leave_as_a_finished_prefix() -> None:
    rig = Rig()
    for _ in range(3):
        rig.delivery.deliver(Verdict(rig.chunk(2), bytes([PUBLISHED] * 2), results(2)))
    rig.outlet.answer(2)
    await rig.turn()
    rig.outlet.answer(1)
    await rig.turn()
    assert rig.inlet.settled == []
    rig.outlet.answer(0)
    await rig.turn()
    assert rig.inlet.settled == [5]


async def test_any_order_settles_each_at_once() -> None:
    rig = Rig(any_order=True)
    for _ in range(2):
        rig.delivery.deliver(Verdict(rig.chunk(1), bytes([PUBLISHED]), results(1)))
    rig.outlet.answer(1)
    await rig.turn()
    assert (rig.inlet.each, rig.inlet.settled) == ([1], [])


async def test_filtered_inputs_are_settled_at_once_and_leave_the_hand() -> None:
    rig = Rig()
    codes = bytes([FILTERED, PUBLISHED, FILTERED])
    rig.delivery.deliver(Verdict(rig.chunk(3), codes, results(2)[1:]))
    assert (rig.inlet.settled, rig.held(), rig.unaccounted()) == ([0], 1, 0)
    rig.outlet.answer(0)
    await rig.turn()
    assert rig.inlet.settled[-1] == 2


async def test_a_refused_result_is_rejected_and_never_published() -> None:
    rig = Rig()
    rig.delivery.deliver(Verdict(rig.chunk(2), bytes([PUBLISHED] * 2), results(2)))
    rig.outlet.answer(0, Refusal(0x87, "Not authorized"), None)
    await rig.turn()
    report = rig.outlet.sent[1][0][0]
    assert report.topic == "geoweir/rejected/buses"
    assert b'"refused"' in report.payload
    assert b"Not authorized" in report.payload
    assert rig.inlet.settled == []
    rig.outlet.answer(1)
    await rig.turn()
    totals = rig.account.totals["buses"]
    assert (totals.outcomes[Outcome.REJECTED, "refused"], totals.of(Outcome.PUBLISHED)) == (1, 1)
    assert rig.inlet.settled[-1] == 1


async def test_a_refusal_of_the_rejection_itself_ends_there() -> None:
    rig = Rig()
    rejection = OutMessage(0, MessageKind.REJECTED, "r", b"{}", "key")
    rig.delivery.deliver(Verdict(rig.chunk(1), bytes([REJECTED]), [rejection]))
    rig.outlet.answer(0, Refusal(0x87, "Not authorized"))
    await rig.turn()
    assert rig.inlet.settled == [0]
    assert [refusal[1] for refusal in rig.refused] == [MessageKind.REJECTED]
    assert len(rig.outlet.sent) == 1


async def test_a_refused_batch_rejects_every_input_it_carried() -> None:
    rig = Rig()
    batch = [OutMessage(-1, MessageKind.RESULT, "out", b"[]", "key")]
    rig.delivery.deliver(Verdict(rig.chunk(3), bytes([PUBLISHED, PUBLISHED, FILTERED]), batch))
    rig.outlet.answer(0, Refusal(0x87, "no"))
    await rig.turn()
    rig.outlet.answer(1)
    await rig.turn()
    totals = rig.account.totals["buses"]
    assert (totals.outcomes[Outcome.REJECTED, "refused"], totals.of(Outcome.FILTERED)) == (2, 1)


async def test_what_was_voided_while_it_was_worked_on_is_not_published() -> None:
    rig = Rig()
    chunk = rig.chunk(2)
    rig.account.close_lane(rig.ledger)
    rig.account.open_lane("buses", "buses", 2, resumed=True)
    chunk.void()
    rig.delivery.deliver(Verdict(chunk, bytes([PUBLISHED] * 2), results(2)))
    await rig.turn()
    assert rig.outlet.sent[0][0] == []
    assert rig.inlet.settled == []
    assert rig.account.snapshot({})["unaccounted"] == 0


async def test_messages_carry_the_key_the_content_type_and_the_inputs_headers() -> None:
    rig = Rig()
    chunk = rig.chunk(1)
    chunk.headers = [(("traceparent", "00-1"), ("geoweir-key", "another's"))]
    rig.delivery.deliver(Verdict(chunk, bytes([PUBLISHED]), results(1)))
    sent = rig.outlet.sent[0][0][0]
    assert sent.content_type == "application/geo+json"
    assert rig.outlet.flows == ["buses"]
    assert (sent.key, sent.headers) == ("key-0", (("traceparent", "00-1"),))
    rig.outlet.answer(0)
    await rig.turn()


async def test_there_is_no_room_while_too_much_is_on_its_way() -> None:
    rig = Rig()
    rig.delivery.deliver(Verdict(rig.chunk(1), bytes([PUBLISHED]), results(1, BACKLOG_BYTES)))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await rig.delivery.room()
    rig.outlet.answer(0)
    await rig.turn()
    await rig.delivery.room()


async def test_what_is_dropped_is_not_settled_before_it_is_kept() -> None:
    rig = Rig()
    rig.durable.clear()
    rejection = OutMessage(1, MessageKind.REJECTED, "r", b"{}", "key")
    codes = bytes([PUBLISHED, REJECTED])
    rig.delivery.deliver(Verdict(rig.chunk(2), codes, [*results(1), rejection], {1: "why"}))
    assert rig.kept == []
    rig.outlet.answer(0)
    await rig.turn()
    ((_, groups, details),) = rig.kept
    assert (groups[REJECTED], details) == ([1], {1: "why"})
    assert (rig.inlet.settled, rig.held()) == ([], 2)
    rig.durable.set()
    await rig.turn()
    assert (rig.inlet.settled[-1], rig.held(), rig.unaccounted()) == (1, 0, 0)


async def test_what_the_broker_refused_is_kept_with_its_words() -> None:
    rig = Rig()
    rig.delivery.deliver(Verdict(rig.chunk(2), bytes([PUBLISHED] * 2), results(2)))
    rig.outlet.answer(0, None, Refusal(0x97, "Quota exceeded"))
    await rig.turn()
    assert rig.kept == []
    rig.outlet.answer(1)
    await rig.turn()
    ((_, groups, details),) = rig.kept
    assert groups[outcome_of(Outcome.REJECTED, "refused")] == [1]
    assert details == {1: "the broker refused out/1: Quota exceeded"}
