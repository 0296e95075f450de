"""What the weir has no room for: onto the disk in order, and back in order.

A stream that has inputs on the disk goes on there until they are done, so that its order stays. An
input that is durable there is confirmed to its lane; from then on it is ours alone, on a lane of
its own (``NAME/spill``): received once, held by this stage until the weir takes it, and deleted
when its outcome is settled. A crash in between brings it again, with equal keys.

Where the disk has no room, durable inputs wait, and with them their connection; the others, which
nobody would send again, are reconciled by name (``overflow``). Without a disk (``when_full: drop``)
all of them are.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
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

#: A weir that is full for a moment is no reason to write.
PATIENCE_S: Final = 0.2
#: A disk that failed is tried again after so long.
_AGAIN_S: Final = 1.0


@dataclass(slots=True, eq=False)
class SpillLane:
    """One stream's way back from the disk, and what settlement confirms its inputs to."""

    stream: str
    spill: Spill | None
    waiting: int = 0  # inputs on the disk that did not come back yet
    ledger: Ledger | None = None
    next: int = 0  # position
    under_way: deque[tuple[int, int]] = field(default_factory=deque)  # last position, last sequence
    voided: set[int] = field(default_factory=set)  # sequences that come again from their lane

    @property
    def name(self) -> str:
        """The lane's name; no stream's name has a slash."""
        return f"{self.stream}/spill"

    def settle(self, lane: str, epoch: int, position: int) -> None:  # noqa: ARG002 - the port's
        """Inputs up to this position have their outcome."""
        done = 0
        while self.under_way and self.under_way[0][0] <= position:
            _, done = self.under_way.popleft()
        if done and self.spill is not None:
            self.spill.settle(self.stream, done)

    def settle_each(self, lane: str, epoch: int, positions: Sequence[int]) -> None:
        """The finished prefix is enough for a disk."""


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
        self._stirred = asyncio.Event()  # something came to the disk, or left it
        self._is_in_trouble = False
        self._is_closing = False

    def parcels(self) -> Iterator[Parcel]:
        """What came back and the weir has not taken yet."""
        return iter(self._hand)

    def waiting(self) -> dict[str, int]:
        """Inputs on the disk that this stage answers for, per stream."""
        return {name: lane.waiting for name, lane in self.lanes.items() if lane.waiting}

    def start(self) -> None:
        """Takes over what an earlier life left."""
        if self._spill is None:
            return
        for name, totals in self._spill.totals.items():
            if totals.messages:
                self._account.carry(name, totals.messages)
                self.lanes[name].waiting = totals.messages

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
            if not lane.waiting and await self._fits():
                return False
            if self._spill is not None and await self._write(lane, hand):
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
            await self._bring_back(lane)

    async def _fits(self) -> bool:
        if not self._is_full():
            return True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                await self._has_room()
        return not self._is_full()

    async def _write(self, lane: SpillLane, hand: list[Parcel]) -> bool:
        spill = self._spill
        if spill is None:
            return False
        try:
            sequence = await spill.append(lane.stream, hand)
        except StateError as error:
            if not self._is_in_trouble:
                self._is_in_trouble = True
                self._on_trouble(error)
            return False
        if self._is_in_trouble:
            self._is_in_trouble = False
            self._on_trouble(None)
        for parcel in hand:
            self._let_go(lane, parcel, sequence)
            sequence += len(parcel)
        self._stirred.set()
        return True

    def _let_go(self, lane: SpillLane, parcel: Parcel, sequence: int) -> None:
        """The parcel is durable: its lane may forget it. What was voided meanwhile comes again."""
        lane.voided.update(
            sequence + index for index, is_open in enumerate(parcel.open) if not is_open
        )
        lane.waiting += parcel.held
        self._account.advance(parcel.ledger, parcel.positions, Event.SPILL)
        parcel.release(range(len(parcel)))
        self._confirm(parcel.ledger)

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
            found = await spill.read(lane.stream, most=self._piece, most_bytes=self._piece_bytes)
        except StateError as error:
            self._on_trouble(error)
            self._is_in_trouble = True
            await asyncio.sleep(_AGAIN_S)
            return
        if not found:
            # Damaged since the start: what is missing stays in flight, and shows.
            await asyncio.sleep(_AGAIN_S)
            return
        last = found[-1].sequence
        found = [one for one in found if one.sequence not in lane.voided]
        lane.voided = {sequence for sequence in lane.voided if sequence > last}
        if found:
            parcel = self._parcel(lane, found)
            lane.waiting -= len(found)
            lane.under_way.append((lane.next - 1, last))
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
            payload_bytes=_size(inputs),
            open=bytearray(b"\1") * len(inputs),
        )


def _size(inputs: Iterable[Spilled]) -> int:
    return sum(len(one.payload) for one in inputs)
