"""What the weir has no room for: onto the disk in order, and back in order.

A stream that has inputs on the disk goes on there until they are done, so that its order stays. An
input there goes through three stations:

- *pending*: durable, and not confirmed to its lane, because one before it has no outcome yet. If
  its connection is lost or we die, its lane sends it again, and what is on the disk is passed over.
- *waiting*: every input before it is done or on the disk as well; that is noted on the disk, and
  it is confirmed. From here on only we have it.
- back on a lane of its own (``NAME/spill``), through the weir to its outcome; then it is deleted.

A crash between a confirmation and the outcome brings it again, with equal keys.

Where the disk has no room, durable inputs wait, and with them their connection; the others, which
nobody would send again, are reconciled by name (``overflow``). Without a disk (``when_full: drop``)
all of them are.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from geoweir.core.account import Account, Event, Ledger
from geoweir.core.clocks import Clocks
from geoweir.core.lane import DURABLE
from geoweir.core.parcel import Parcel
from geoweir.core.spilled import Spilled
from geoweir.core.verdict import Verdict
from geoweir.errors import StateError
from geoweir.ports import Spill

__all__ = ["SpillLane", "Spilling"]

#: A disk that failed is tried again after so long.
_AGAIN_S: Final = 1.0


@dataclass(slots=True, eq=False)
class SpillLane:
    """One stream's inputs on the disk, and what settlement confirms those that came back to.

    Attributes:
        pending: parcels with the sequence of their first input.
        waiting: how many inputs wait to come back.
        released: the last sequence that may come back.
        passed_over: sequences whose inputs come again from their lane.
        is_known: whether it is known what of an earlier life comes again.
        is_connected: whether the lane that inputs come from is open.
        under_way: last position and last sequence of what came back.
    """

    stream: str
    spill: Spill | None
    pending: deque[tuple[Parcel, int]] = field(default_factory=deque)
    waiting: int = 0
    released: int = 0
    passed_over: set[int] = field(default_factory=set)
    is_known: bool = False
    is_connected: bool = False
    ledger: Ledger | None = None
    next: int = 0  # position
    under_way: deque[tuple[int, int]] = field(default_factory=deque)

    @property
    def name(self) -> str:
        """The lane's name; no stream's name has a slash."""
        return f"{self.stream}/spill"

    @property
    def is_used(self) -> bool:
        """Whether later inputs of the stream have to go behind what is here."""
        return bool(self.waiting or self.pending)

    def settle(self, lane: str, epoch: int, position: int) -> None:  # noqa: ARG002 - the port's
        """Inputs up to this position have their outcome."""
        done = 0
        while self.under_way and self.under_way[0][0] <= position:
            _, done = self.under_way.popleft()
        if done and self.spill is not None:
            self.spill.settle(self.stream, done)
            self.passed_over = {sequence for sequence in self.passed_over if sequence > done}

    def settle_each(self, lane: str, epoch: int, positions: Sequence[int]) -> None:
        """The finished prefix is enough for a disk."""

    def add(self, parcel: Parcel, sequence: int) -> None:
        """A parcel is durable."""
        self.pending.append((parcel, sequence))
        if not parcel.held:
            self.pass_over_voided()

    def pass_over_voided(self) -> None:
        """Lets go of parcels that come again from their lane as a whole.

        They are not released: what comes again may have to go before them.
        """
        for parcel, sequence in self.pending:
            if not parcel.held:
                self.passed_over.update(range(sequence, sequence + len(parcel)))
        self.pending = deque(one for one in self.pending if one[0].held)

    def wanted(self, inputs: Sequence[Spilled]) -> list[Spilled]:
        """Those that do not come again from their lane."""
        return [one for one in inputs if one.sequence not in self.passed_over]


class Spilling:
    """Diverts inputs to the disk and feeds them back.

    Args:
        streams: name and weight of each: how much it brings back at its turn.
        spill: the disk; None: what has no room is reconciled.
        account: where inputs are.
        confirm: settlement's ``confirm``: acknowledges what a ledger has finished.
        deliver: takes a verdict that no worker is needed for.
        overflow: makes the verdict on inputs that have no room.
        room: waits while too much is on its way to the broker.
        has_room: waits until the weir has room for a parcel; ``is_full``: whether it has none.
        put: hands a parcel of at most ``piece`` inputs and ``piece_bytes`` to the weir.
        on_trouble: told why the disk can't take anything from now on, and with None that it can.
    """

    def __init__(
        self,
        *,
        streams: Mapping[str, int],
        spill: Spill | None,
        account: Account,
        confirm: Callable[[Ledger], None],
        deliver: Callable[[Verdict], None],
        overflow: Callable[[Parcel], Verdict],
        room: Callable[[], Awaitable[None]],
        has_room: Callable[[], Awaitable[None]],
        is_full: Callable[[], bool],
        put: Callable[[Parcel], Awaitable[None]],
        piece: int,
        piece_bytes: int,
        on_trouble: Callable[[StateError | None], None],
        clocks: Clocks,
    ) -> None:
        self.lanes = {name: SpillLane(name, spill) for name in streams}
        self._weights = streams
        self._spill = spill
        self._account = account
        self._confirm = confirm
        self._deliver = deliver
        self._overflow = overflow
        self._room = room
        self._has_room = has_room
        self._is_full = is_full
        self._put = put
        self._piece = piece
        self._piece_bytes = piece_bytes
        self._on_trouble = on_trouble
        self._clocks = clocks
        self._hand: list[Parcel] = []
        self._turns: deque[tuple[str, int]] = deque()  # streams, and what each may still bring back
        self._stirred = asyncio.Event()  # something waits, or room came
        self._may_release = asyncio.Event()  # something before what is pending was settled
        self._is_in_trouble = False
        self._is_closing = False

    def parcels(self) -> Iterator[Parcel]:
        """What this stage answers for in memory."""
        pending = (parcel for lane in self.lanes.values() for parcel, _ in lane.pending)
        return chain(self._hand, pending)

    def waiting(self) -> dict[str, int]:
        """Inputs that only the disk has, per stream."""
        return {name: lane.waiting for name, lane in self.lanes.items() if lane.waiting}

    def start(self) -> None:
        """Takes over what an earlier life left."""
        for name, carried in (self._spill.carried if self._spill else {}).items():
            lane = self.lanes[name]
            lane.released = carried.released
            lane.waiting = carried.waiting
            lane.passed_over = set(carried.passed_over)
            self._account.carry(name, carried.waiting)

    def opened(self, stream: str, *, resumed: bool) -> None:
        """A lane was opened; what was not confirmed to it comes again where it ``resumed``."""
        lane = self.lanes[stream]
        lane.is_connected = True
        lane.pass_over_voided()
        carried = self._spill.carried.get(stream) if self._spill else None
        if carried is not None and not lane.is_known:
            lane.is_known = True
            ours = carried.others + (0 if resumed else len(carried.durable))
            self._account.carry(stream, ours)
            lane.waiting += ours
            lane.released = carried.last
            if resumed:
                lane.passed_over.update(carried.durable)
            self._stirred.set()
        self._may_release.set()

    def closed(self, stream: str) -> None:
        """A lane was closed."""
        self.lanes[stream].is_connected = False

    def settled(self, stream: str) -> None:
        """Inputs of a stream have an outcome: what is pending behind them may be confirmed."""
        if self.lanes[stream].pending:
            self._may_release.set()

    def close(self) -> None:
        """Brings nothing more back: what is on the disk waits there for the next start."""
        self._is_closing = True
        self._stirred.set()

    async def divert(self, hand: list[Parcel]) -> bool:
        """Takes inputs of one lane that the weir has no room for; False: the weir is to have them.

        Where it takes them, they are on the disk or have a verdict when it returns.
        """
        lane = self.lanes[hand[0].ledger.stream]
        while True:
            if not lane.is_used and not self._is_full():
                return False
            if await self._write(lane, hand):
                return True
            await self._name_what_is_lost(hand)
            if not hand:
                return True
            self._stirred.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_AGAIN_S):
                    await self._stirred.wait()

    async def run(self) -> None:
        """Brings inputs back whenever the weir has room, until ``close``."""
        while not self._is_closing:
            lane = self._turn()
            if lane is None:
                self._stirred.clear()
                await self._stirred.wait()
                continue
            await self._has_room()
            if not self._is_closing:
                await self._bring_back(lane)

    async def release(self) -> None:
        """Confirms what is pending as soon as everything before it is done, for ever."""
        while True:
            await self._may_release.wait()
            self._may_release.clear()
            for lane in self.lanes.values():
                await self._release(lane)

    async def _write(self, lane: SpillLane, hand: list[Parcel]) -> bool:
        spill = self._spill
        if spill is None:
            return False
        try:
            sequence = await spill.append(lane.stream, hand)
        except StateError as error:
            self._fails(error)
            return False
        self._works()
        for parcel in hand:
            lane.add(parcel, sequence)
            sequence += len(parcel)
        self._may_release.set()
        return True

    async def _release(self, lane: SpillLane) -> None:
        spill, ready = self._spill, self._ready(lane)
        if spill is None or not ready:
            return
        last = ready[-1][1] + len(ready[-1][0]) - 1
        try:
            await spill.release(lane.stream, last, lane.passed_over)
        except StateError as error:
            self._fails(error)
            await asyncio.sleep(_AGAIN_S)
            self._may_release.set()
            return
        for parcel, sequence in ready:
            if lane.pending and lane.pending[0][0] is parcel:  # else it was voided meanwhile
                lane.pending.popleft()
                self._hand_over(lane, parcel, sequence)
        lane.released = last
        self._stirred.set()

    def _ready(self, lane: SpillLane) -> list[tuple[Parcel, int]]:
        """The first of what is pending before which nothing is in flight but what is pending."""
        ready: list[tuple[Parcel, int]] = []
        before: dict[Ledger, int] = {}
        for parcel, sequence in lane.pending:
            ledger = parcel.ledger
            if ledger.is_closed and not lane.is_connected:
                break  # whether it comes again shows when its lane is back
            if ledger.in_flight_before(parcel.positions[0]) > before.get(ledger, 0):
                break
            before[ledger] = before.get(ledger, 0) + parcel.held
            ready.append((parcel, sequence))
        return ready

    def _hand_over(self, lane: SpillLane, parcel: Parcel, sequence: int) -> None:
        """From now on only the disk has it. What was voided meanwhile comes again."""
        lane.passed_over.update(
            sequence + index for index, is_open in enumerate(parcel.open) if not is_open
        )
        lane.waiting += parcel.held
        self._account.advance(parcel.ledger, parcel.positions, Event.SPILL)
        parcel.release(range(len(parcel)))
        self._confirm(parcel.ledger)

    def _fails(self, error: StateError) -> None:
        if not self._is_in_trouble:
            self._is_in_trouble = True
            self._on_trouble(error)

    def _works(self) -> None:
        if self._is_in_trouble:
            self._is_in_trouble = False
            self._on_trouble(None)

    async def _name_what_is_lost(self, hand: list[Parcel]) -> None:
        """Reconciles what nobody would send again; without a disk, all of it."""
        for parcel in list(hand):
            lost = [
                index
                for index, flags in enumerate(parcel.flags)
                if self._spill is None or not flags & DURABLE
            ]
            if not lost:
                continue
            await self._room()
            self._deliver(self._overflow(parcel.part(lost)))
            parcel.release(lost)
            place = hand.index(parcel)
            hand[place : place + 1] = [rest] if len(rest := parcel.without_released()) else []

    def _turn(self) -> SpillLane | None:
        """The stream that brings back next: weighted turns among those that have something."""
        known = {name for name, _ in self._turns}
        for name, lane in self.lanes.items():
            if lane.waiting and name not in known:
                self._turns.append((name, self._weights[name]))
        while self._turns:
            name, credit = self._turns.popleft()
            if not self.lanes[name].waiting:
                continue
            if credit > 1:
                self._turns.appendleft((name, credit - 1))
            else:
                self._turns.append((name, self._weights[name]))
            return self.lanes[name]
        return None

    async def _bring_back(self, lane: SpillLane) -> None:
        spill = self._spill
        if spill is None:
            return
        try:
            found = await spill.read(
                lane.stream, most=self._piece, most_bytes=self._piece_bytes, up_to=lane.released
            )
        except StateError as error:
            self._fails(error)
            await asyncio.sleep(_AGAIN_S)
            return
        if not found:
            # Damaged since the start: what is missing stays in flight, and shows.
            await asyncio.sleep(_AGAIN_S)
            return
        wanted = lane.wanted(found)
        if wanted:
            parcel = self._parcel(lane, wanted)
            lane.waiting -= len(wanted)
            lane.under_way.append((lane.next - 1, found[-1].sequence))
            self._hand.append(parcel)
            self._account.advance(parcel.ledger, parcel.positions, Event.QUEUE)
            await self._put(parcel)
            self._hand.remove(parcel)
        self._stirred.set()

    def _parcel(self, lane: SpillLane, inputs: Sequence[Spilled]) -> Parcel:
        if lane.ledger is None:
            lane.ledger = self._account.open_lane(lane.stream, lane.name, 1, resumed=False)
        first = lane.next
        lane.next += len(inputs)
        now = self._clocks.monotonic()
        # Durable here: an end in between leaves them to the next start.
        flags = bytes(one.flags | DURABLE for one in inputs)
        self._account.bring_back(lane.ledger, first, flags, now)
        return Parcel(
            ledger=lane.ledger,
            positions=list(range(first, lane.next)),
            payloads=[one.payload for one in inputs],
            addresses=[one.topic for one in inputs],
            headers=[one.headers for one in inputs],
            flags=flags,
            received=[one.received for one in inputs],
            arrived=now,
            payload_bytes=sum(len(one.payload) for one in inputs),
            open=bytearray(b"\1") * len(inputs),
        )
