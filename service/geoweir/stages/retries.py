"""Sends kept inputs through again: each stream has a lane for them beside its connection's.

A retried input is a new input of its stream: it is received, goes the whole way and ends in one
outcome. Nothing of it is acknowledged to a broker, and it is not durable but in the store: what is
kept goes when its outcome is published or filtered, and stays, counted up, when it is dropped
again. So a crash anywhere in between leaves it kept, once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from geoweir.core.kept import KEPT_OUTCOMES, Kept, Selection, kept_id
from geoweir.core.lane import REPEATED, Batch, LaneClosed, LaneOpened
from geoweir.core.outcome import Outcome
from geoweir.core.parcel import Parcel
from geoweir.ports import StateStore

__all__ = ["MOST_AT_ONCE", "Retried", "Retries", "RetryLane"]

#: Retried inputs without an outcome, and bytes that are read from the store at once.
MOST_AT_ONCE: Final = 512
_BYTES_AT_ONCE: Final = 8_000_000

#: Flags of inputs that come for the first time.
_NOT_REPEATED: Final = bytes(flag for flag in range(256) if not flag & REPEATED)


@dataclass(frozen=True, slots=True)
class Retried:
    """What became of one request.

    Attributes:
        taken: inputs that are on their way now.
        skipped: inputs that can't go: their stream is not configured, or they are on their way.
        after: where to go on; as far as ``up_to``, beyond which inputs are dropped since.
        more: whether there may be more between the two.
    """

    taken: int
    skipped: int
    after: int
    up_to: int
    more: bool


class RetryLane:
    """The inlet of one stream's retried inputs: in memory, and bounded by ``Retries``."""

    def __init__(self, stream: str, wall: Callable[[], float]) -> None:
        self.name = f"{stream}/kept"  # no stream's name has a slash
        self._stream = stream
        self._wall = wall
        self._next = 0
        self._waiting: deque[Batch | LaneOpened] = deque()
        self._wake = asyncio.Event()
        self._is_closing = False

    def send(self, inputs: Sequence[Kept]) -> range:
        """Puts inputs, with payloads, behind what waits; their positions."""
        if not self._next:
            self._waiting.append(LaneOpened(self.name, 1, resumed=False))
        first = self._next
        self._next += len(inputs)
        self._waiting.append(
            Batch(
                lane=self.name,
                epoch=1,
                first=first,
                payloads=[one.payload or b"" for one in inputs],
                addresses=[one.topic for one in inputs],
                headers=[one.headers for one in inputs],
                flags=bytes(len(inputs)),
                received=self._wall(),
            )
        )
        self._wake.set()
        return range(first, self._next)

    async def batches(self) -> AsyncIterator[Batch | LaneOpened | LaneClosed]:
        """Yields what is sent until ``close``; what then waits stays kept, and is not received."""
        while not self._is_closing:
            while self._waiting and not self._is_closing:
                yield self._waiting.popleft()
            self._wake.clear()
            if not self._waiting and not self._is_closing:
                await self._wake.wait()

    def settle(self, lane: str, epoch: int, position: int) -> None:
        """Nobody waits for it: the store knows by itself."""

    def settle_each(self, lane: str, epoch: int, positions: Sequence[int]) -> None:
        """Likewise."""

    def pause(self) -> None:
        """Nothing comes by itself."""

    def resume(self) -> None:
        """Nothing comes by itself."""

    async def close(self) -> None:
        """Ends ``batches``."""
        self._is_closing = True
        self._wake.set()

    async def disconnect(self) -> None:
        """There is no connection."""


@dataclass(frozen=True, slots=True)
class _UnderWay:
    id: str
    attempts: int


class Retries:
    """Takes kept inputs out of the store, and says what became of them.

    Args:
        store: where they are kept.
        streams: the configured ones.
        spawn: starts a task that the service owns.
        on_settled: told of each outcome: stream, outcome, how many.
        is_empty: whether nothing is kept.
        wall: Unix seconds.

    Attributes:
        lanes: the inlet of each stream.
    """

    def __init__(
        self,
        *,
        store: StateStore,
        streams: Iterable[str],
        spawn: Callable[..., object],
        on_settled: Callable[[str, Outcome, int], None],
        is_empty: Callable[[], bool],
        wall: Callable[[], float],
    ) -> None:
        self.lanes = {stream: RetryLane(stream, wall) for stream in streams}
        self._store = store
        self._spawn = spawn
        self._on_settled = on_settled
        self._is_empty = is_empty
        self._under_way: dict[tuple[str, int], _UnderWay] = {}
        self._ids: set[str] = set()

    def __len__(self) -> int:
        """Retried inputs without an outcome."""
        return len(self._ids)

    async def retry(self, selection: Selection) -> Retried:
        """Sends the first of a selection through again, as many as may be under way at once.

        Raises:
            StateError: the store can't be read now.
        """
        up_to = selection.up_to
        if up_to is None:
            up_to = await self._store.last_sequence()
        room = MOST_AT_ONCE - len(self._ids)
        if room <= 0:
            return Retried(0, 0, selection.after, up_to, more=True)
        wanted = replace(selection, up_to=up_to)
        found = await self._store.load(wanted, most=room, most_bytes=_BYTES_AT_ONCE)
        # Nothing is awaited from here on: nobody else can send the same ones.
        going = [one for one in found if one.stream in self.lanes and one.id not in self._ids]
        for stream in dict.fromkeys(one.stream for one in going):  # in the order of their dropping
            self._send(stream, [one for one in going if one.stream == stream])
        after = found[-1].sequence if found else up_to
        return Retried(
            len(going), len(found) - len(going), after, up_to, more=bool(found) and after < up_to
        )

    def earlier(self, parcel: Parcel, index: int) -> int:
        """How often the input at an index was dropped before; 0 for what isn't retried."""
        if not self._under_way:
            return 0
        one = self._under_way.get((parcel.ledger.lane, parcel.positions[index]))
        return 0 if one is None else one.attempts

    def settled(self, parcel: Parcel, indices: Iterable[int], outcome: Outcome) -> None:
        """Inputs have their outcome; those that came home need not be kept any longer."""
        lane = parcel.ledger.lane
        if lane == parcel.ledger.stream:
            if outcome is Outcome.PUBLISHED and parcel.flags.translate(None, _NOT_REPEATED):
                self._came_again(parcel, indices)
            return
        places = [(lane, parcel.positions[index]) for index in indices]
        ids = [self._under_way.pop(place).id for place in places if place in self._under_way]
        if not ids:
            return
        self._on_settled(parcel.ledger.stream, outcome, len(ids))
        if outcome in KEPT_OUTCOMES:
            self._ids.difference_update(ids)
        else:
            self._spawn(self._forget(ids), name=f"forget-{lane}")

    def _came_again(self, parcel: Parcel, indices: Iterable[int]) -> None:
        """Redelivered inputs may have been dropped and kept before the crash that returned them."""
        if self._is_empty():
            return
        stream = parcel.ledger.stream
        ids = [
            kept_id(stream, parcel.addresses[index], parcel.payloads[index])
            for index in indices
            if parcel.flags[index] & REPEATED
        ]
        self._spawn(self._forget(ids), name=f"forget-{stream}")

    def _send(self, stream: str, inputs: Sequence[Kept]) -> None:
        lane = self.lanes[stream]
        for position, one in zip(lane.send(inputs), inputs, strict=True):
            self._under_way[lane.name, position] = _UnderWay(one.id, one.attempts)
            self._ids.add(one.id)

    async def _forget(self, ids: Sequence[str]) -> None:
        await self._store.forget(ids)
        # Only now may they be sent again, where they are still kept because the disk failed.
        self._ids.difference_update(ids)
