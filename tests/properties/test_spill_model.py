"""Account, queue and spill against a broker that remembers what was not acknowledged.

Inputs come, are worked off, go to a real disk; the disk fails, connections are lost, the service
dies and starts again. In whatever order: each input has an outcome in the end, outcomes come in the
order of the inputs, nothing that has neither an outcome nor a place on the disk is acknowledged,
and the account balances after every step.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from geoweir.core.account import Account, Event, Ledger
from geoweir.core.backlog import Backlog
from geoweir.core.clocks import Clocks
from geoweir.core.lane import DURABLE
from geoweir.core.outcome import Outcome
from geoweir.core.parcel import Parcel
from geoweir.core.verdict import Verdict
from geoweir.errors import StateError
from geoweir.stages.settlement import Settlement
from geoweir.stages.spilling import Spilling
from geoweir.stages.weir import Weir
from geoweir.store.spill.files import FileSpill

LIMIT = 6
PIECE = 3


class FailingSpill(FileSpill):
    """The real one, without its thread, on a disk that can be told to fail."""

    fails = False

    async def _in_thread(self, work: Callable[..., Any], *arguments: object) -> Any:
        await asyncio.sleep(0)
        return work(*arguments)

    def settle(self, stream: str, sequence: int) -> None:
        self._settle(stream, sequence)

    async def append(self, stream: str, parcels: Any) -> int:
        if self.fails:
            raise StateError("io", "told to fail")
        return await super().append(stream, parcels)


class Told:
    """Who is told of damage; there must be none."""

    def spill_damaged(self, detail: str, lost: int) -> None:
        raise AssertionError((detail, lost))

    def spill_left(self, stream: str, n: int) -> None:
        raise AssertionError((stream, n))


class Life:
    """One life of the service: everything that a crash takes."""

    def __init__(self, folder: Path, broker: list[int], done: list[int]) -> None:
        self.broker, self.done = broker, done
        self.account = Account(["s"])
        self.spill = FailingSpill(folder, 1_000_000, streams=["s"], events=Told())
        self.weir = Weir(
            Backlog({"s": "normal"}, chunk=PIECE, chunk_bytes=10_000),
            limit=LIMIT,
            piece=PIECE,
            clock=lambda: 0.0,
        )
        self.ledger: Ledger | None = None
        self.names: dict[tuple[Ledger, int], int] = {}
        self.hand: list[Parcel] = []
        self.tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        await self.spill.__aenter__()
        self.spilling = Spilling(
            streams={"s": 1},
            spill=self.spill,
            account=self.account,
            confirm=self.confirm,
            deliver=self.never,
            overflow=self.never_made,
            room=self.weir.room,
            has_room=self.weir.room,
            is_full=self.weir.full,
            put=self.weir.put,
            piece=PIECE,
            piece_bytes=10_000,
            on_trouble=lambda _: None,
            clocks=Clocks(monotonic=lambda: 0.0, wall=lambda: 0.0),
        )
        self.settlement = Settlement(
            account=self.account,
            inlets={"s": self, "s/spill": self.spilling.lanes["s"]},
            any_order=False,
            clock=lambda: 0.0,
            on_settled=lambda *_: None,
        )
        self.spilling.start()
        self.run(self.spilling.run())
        self.run(self.spilling.release())
        await self.connect(resumed=True)

    def confirm(self, ledger: Ledger) -> None:
        self.settlement.confirm(ledger)

    def never(self, _: object) -> None:
        raise AssertionError("durable inputs have no overflow")

    def never_made(self, _: object) -> Verdict:
        raise AssertionError("durable inputs have no overflow")

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.ended)

    def ended(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if not task.cancelled():
            task.result()

    async def connect(self, *, resumed: bool) -> None:
        """The broker sends again what it has no acknowledgement for."""
        epoch = 1 if self.ledger is None else self.ledger.epoch + 1
        if self.ledger is not None:
            self.account.close_lane(self.ledger)
            self.spilling.closed("s")
        self.ledger = self.account.open_lane("s", "s", epoch, resumed=resumed)
        for parcel in self.parcels():
            if parcel.ledger.lane == "s" and parcel.ledger.is_closed:
                parcel.void()
        self.spilling.opened("s", resumed=resumed)
        self.reader: asyncio.Queue[list[int]] = asyncio.Queue()
        self.reader.put_nowait(list(self.broker))
        self.run(self.intake(self.ledger, self.reader))

    async def intake(self, ledger: Ledger, reader: asyncio.Queue[list[int]]) -> None:
        """As stages.intake has it, for one connection."""
        while not ledger.is_closed:
            numbers = await reader.get()
            if not numbers or ledger.is_closed:
                continue
            hand = self.receive(ledger, numbers)
            self.hand += hand
            while hand and not await self.spilling.divert(hand):
                piece = hand.pop(0)
                self.account.advance(piece.ledger, piece.positions, Event.QUEUE)
                await self.weir.put(piece)
                self.hand.remove(piece)
            for piece in hand:
                self.hand.remove(piece)

    def receive(self, ledger: Ledger, numbers: list[int]) -> list[Parcel]:
        first, count = ledger.next_position, len(numbers)
        self.account.receive(ledger, first, bytes([DURABLE]) * count, 0.0)
        self.names |= {(ledger, first + i): number for i, number in enumerate(numbers)}
        whole = Parcel(
            ledger=ledger,
            positions=list(range(first, first + count)),
            payloads=[str(number).encode() for number in numbers],
            addresses=["t"] * count,
            headers=[()] * count,
            flags=bytes([DURABLE]) * count,
            received=[0.0] * count,
            arrived=0.0,
            payload_bytes=count,
            open=bytearray(b"\1") * count,
        )
        return [whole.part(range(at, min(at + PIECE, count))) for at in range(0, count, PIECE)]

    def parcels(self) -> list[Parcel]:
        return [*self.hand, *self.spilling.parcels(), *self.weir.parcels()]

    def held(self) -> int:
        on_disk = self.spilling.waiting().get("s", 0)
        return on_disk + sum(parcel.held for parcel in self.parcels())

    def work(self) -> None:
        chunk = self.weir.get_nowait()
        for event in (Event.START, Event.DELIVER):
            self.account.advance(chunk.ledger, chunk.positions, event)
        self.done += [
            int(payload)
            for payload, is_open in zip(chunk.payloads, chunk.open, strict=True)
            if is_open
        ]
        self.settlement.settle(chunk, range(len(chunk)), Outcome.PUBLISHED, "")
        self.spilling.settled("s")

    # What settlement confirms to: the broker lets go of an acknowledged prefix.

    def settle(self, lane: str, epoch: int, position: int) -> None:
        del lane
        assert self.ledger is not None
        if epoch == self.ledger.epoch:
            for at in range(position + 1):
                number = self.names[self.ledger, at]
                if number in self.broker:
                    self.broker.remove(number)

    def settle_each(self, *_: object) -> None:
        raise AssertionError

    async def crash(self) -> None:
        for task in list(self.tasks):
            task.cancel()
        await asyncio.sleep(0)
        await self.spill.__aexit__(None, None, None)


class SpillMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="spill-model-"))
        self.runner = asyncio.Runner()
        self.sent, self.crashes = 0, 0
        self.broker: list[int] = []  # sent, and not acknowledged
        self.done: list[int] = []
        self.begin()

    def begin(self) -> None:
        self.life = Life(self.folder, self.broker, self.done)
        self.runner.run(self.life.start())
        self.turn()

    def turn(self, turns: int = 40) -> None:
        async def some() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)

        self.runner.run(some())

    @rule(count=st.integers(1, 12))
    def send(self, count: int) -> None:
        numbers = list(range(self.sent, self.sent + count))
        self.sent += count
        self.broker += numbers
        self.life.reader.put_nowait(numbers)
        self.turn()

    @precondition(lambda self: not self.life.weir.empty())
    @rule()
    def work(self) -> None:
        self.life.work()
        self.turn()

    @rule()
    def lose_the_connection(self) -> None:
        self.runner.run(self.life.connect(resumed=True))
        self.turn()

    @rule()
    def die(self) -> None:
        self.crashes += 1
        self.runner.run(self.life.crash())
        self.begin()

    @rule(fails=st.booleans())
    def fail(self, fails: bool) -> None:
        self.life.spill.fails = fails

    @invariant()
    def the_account_balances(self) -> None:
        assert self.life.account.unaccounted({"s": self.life.held()}) == 0

    @invariant()
    def what_was_acknowledged_is_done_or_ours(self) -> None:
        ours = {int(payload) for parcel in self.life.parcels() for payload in parcel.payloads}
        missing = set(range(self.sent)) - set(self.broker) - set(self.done) - ours
        assert len(missing) <= self.life.spill.totals["s"].messages

    def teardown(self) -> None:
        try:
            self.drain()
        finally:
            self.runner.run(self.life.crash())
            self.runner.close()
            shutil.rmtree(self.folder)

    def drain(self) -> None:
        """Everything comes to its end, once the disk works."""
        self.life.spill.fails = False
        for _ in range(500):
            if set(self.done) == set(range(self.sent)) and not self.life.held():
                break
            while not self.life.weir.empty():
                self.life.work()
            self.turn(10)
        first = list(dict.fromkeys(self.done))
        assert first == list(range(self.sent))
        assert not self.broker


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that failed is tried again at the next turn of the loop."""
    monkeypatch.setattr("geoweir.stages.spilling._AGAIN_S", 0.0)


SpillMachine.TestCase.settings = settings(
    max_examples=30,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestSpill = SpillMachine.TestCase
