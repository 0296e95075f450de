"""Gives chunks to workers, and says what is to become of each.

A chunk is what waits when a slot is idle. A chunk whose worker failed is run once more with care,
input by input, so that only the culprit is reconciled (``on_failure: isolate``), or is reconciled
whole (``drop``). Whatever happens to a chunk, exactly one verdict per chunk goes to ordering.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

from geoweir.codec.messages import encode_reconcile
from geoweir.codec.topics import PLAIN_RECONCILE, TopicTemplate
from geoweir.core.account import Account, Event
from geoweir.core.clocks import Clocks
from geoweir.core.deadline import Deadlines, IsolationBudget
from geoweir.core.linger import Linger
from geoweir.core.outcome import Outcome, outcome_of
from geoweir.core.pace import Pace
from geoweir.core.parcel import Parcel
from geoweir.core.spec import PoolSpec, StreamSpec
from geoweir.core.verdict import Verdict
from geoweir.core.work import ChunkDone, ChunkWork, MessageKind, OutMessage, Sightings
from geoweir.errors import WorkerError
from geoweir.pool.supervisor import Failure, Pool, Ran, RanEach, Slot

__all__ = ["ChunkEvents", "Dispatch"]

#: Culprits that one careful run looks for; beyond, the rest of the chunk is reconciled whole.
_CULPRITS: Final = 8


class ChunkEvents(Protocol):
    """Who is told what became of chunks."""

    def chunk_done(self, stream: str, features: int, seconds: float, steps: list[float]) -> None:
        """A worker finished a chunk."""

    def reconciled(self, stream: str, reason: str, ids: list[str], n: int, chunk: str) -> None:
        """``n`` inputs are reconciled, by a message that names ``chunk``."""


@dataclass(slots=True)
class _Partial:
    """A verdict in the making, by the input's index in the chunk."""

    codes: bytearray
    messages: list[OutMessage]
    sightings: Sightings = field(default_factory=Sightings)
    details: dict[int, str] = field(default_factory=dict)

    def verdict(self, chunk: Parcel) -> Verdict:
        return Verdict(chunk, bytes(self.codes), self.messages, self.details)

    def add(self, indices: list[int], done: ChunkDone) -> None:
        for at, index in enumerate(indices):
            self.codes[index] = done.codes[at]
        self.messages += [
            OutMessage(
                indices[m.input] if m.input >= 0 else m.input, m.kind, m.topic, m.payload, m.key
            )
            for m in done.messages
        ]
        if done.sightings is not None:
            self.sightings.join(done.sightings, indices)


class Dispatch:
    """Moves chunks from the weir through the pool to ordering.

    Args:
        filled: waits until the weir holds something.
        take: the weir's next chunk; ``top_up`` adds to it what came since.
        bound: sets how many features a chunk of a stream has at most.
        start: ordering's ``start``: the number of a stream's next chunk.
        finish: ordering's ``finish``.
        room: waits while too much is on its way to the broker.
        identify: the ids in an input: stream, payload, address.
        spawn: starts a task that the service owns.
        is_watched: whether somebody wants to see a stream's features.
        earlier: how often the input at an index of a parcel was dropped before.
    """

    def __init__(
        self,
        *,
        streams: tuple[StreamSpec, ...],
        spec: PoolSpec,
        pool: Pool,
        filled: Callable[[], Awaitable[None]],
        take: Callable[[], Parcel],
        top_up: Callable[[Parcel], None],
        bound: Callable[[str, int], None],
        account: Account,
        start: Callable[[str], int],
        finish: Callable[[str, int, Verdict], None],
        room: Callable[[], Awaitable[None]],
        identify: Callable[[str, bytes, str], list[str]],
        spawn: Callable[..., object],
        events: ChunkEvents,
        is_watched: Callable[[str], bool],
        earlier: Callable[[Parcel, int], int],
        clocks: Clocks,
    ) -> None:
        self._streams = {stream.name: index for index, stream in enumerate(streams)}
        self._reconcile_topics = {
            stream.name: TopicTemplate.parse(stream.reconcile.topic) for stream in streams
        }
        self._spec = spec
        self._pool = pool
        self._filled = filled
        self._take = take
        self._top_up = top_up
        self._bound = bound
        self._account = account
        self._start = start
        self._finish = finish
        self._room = room
        self._identify = identify
        self._spawn = spawn
        self._events = events
        self._is_watched = is_watched
        self._earlier = earlier
        self._clocks = clocks
        self._deadlines = Deadlines(spec.timeout_s)
        self._linger = Linger(chunk=spec.chunk, linger_s=spec.linger_s)
        self._budget = IsolationBudget(spec.workers)
        self._pace = Pace(
            workers=spec.workers,
            chunk=spec.chunk,
            smallest_chunk=spec.smallest_chunk,
            timeout_s=spec.timeout_s,
        )
        self._stirred = asyncio.Event()  # a chunk is finished, or the duty changed
        self._one_at_a_time = asyncio.Lock()
        self._working: set[Parcel] = set()
        self._lingering: list[Parcel] = []
        self._chunks = 0

    def parcels(self) -> Iterator[Parcel]:
        """What dispatch answers for."""
        yield from self._lingering
        yield from self._working

    @property
    def duty(self) -> float:
        """The share of the workers' time that may be used."""
        return self._pace.duty

    def chunk_limit(self) -> int:
        """Features that a chunk may have: of the stream whose chunks are the smallest."""
        return min(map(self._pace.limit, self._streams))

    def throttle(self, duty: float) -> None:
        """Keeps to a share of the workers' time from now on, above 0 and up to 1."""
        self._pace.turn(self._clocks.monotonic(), duty)
        for stream in self._streams:
            self._bound(stream, self._pace.limit(stream))
        self._stirred.set()

    def waiting(self) -> list[Parcel]:
        """What was taken from the weir and not yet given to a worker."""
        return list(self._lingering)

    def reconcile_deadly(self, parcel: Parcel) -> Verdict:
        """The verdict on inputs that killed the service before: nobody looks into them."""
        return self._reconcile_all(parcel, Failure.CRASH, "it killed the service; not read again")

    def reconcile_overflow(self, parcel: Parcel) -> Verdict:
        """The verdict on inputs that nothing has room for."""
        return self._reconcile_all(parcel, Failure.OVERFLOW, "no room in the queue")

    def reconcile_waiting(self, parcel: Parcel) -> Verdict:
        """The verdict on inputs that no worker will see any more."""
        return self._reconcile_all(parcel, Failure.SHUTDOWN, "not started before the end")

    def _reconcile_all(self, parcel: Parcel, failure: Failure, detail: str) -> Verdict:
        partial = _Partial(bytearray(len(parcel)), [])
        indices = list(range(len(parcel)))
        self._reconcile(parcel, indices, failure, detail, partial, attempts=0)
        return partial.verdict(parcel)

    async def run(self) -> None:
        """Takes a chunk whenever one waits and a slot is idle, for ever."""
        while True:
            await self._room()
            # In this order: a slot that is held for what may come would be missed by an isolation.
            await self._filled()
            await self._turn()
            slot = await self._pool.idle()
            try:
                chunk = await self._next_chunk()
            except BaseException:
                slot.release()
                raise
            self._begin(slot, chunk)

    async def _turn(self) -> None:
        """Waits while the workers have had their share."""
        while wait_s := self._pace.wait_s(self._clocks.monotonic(), len(self._working)):
            self._stirred.clear()
            try:
                async with asyncio.timeout(wait_s if math.isfinite(wait_s) else None):
                    await self._stirred.wait()
            except TimeoutError:
                pass  # that was the pause

    async def _next_chunk(self) -> Parcel:
        chunk = self._take()
        now = self._clocks.monotonic()
        wait_s = self._linger.wait_s(now, len(chunk))
        if wait_s:
            # In our hands meanwhile, and still if we are cancelled here.
            self._lingering.append(chunk)
            await asyncio.sleep(wait_s)
            self._top_up(chunk)
            self._lingering.remove(chunk)
        self._linger.note(now, len(chunk))
        return chunk

    def _begin(self, slot: Slot, chunk: Parcel) -> None:
        chunk = chunk.without_released()
        if not len(chunk):
            slot.release()
            return
        self._account.advance(chunk.ledger, chunk.positions, Event.START)
        self._working.add(chunk)
        stream = chunk.ledger.stream
        self._spawn(self._work(slot, chunk, self._start(stream)), name=f"chunk-{stream}")

    async def _work(self, slot: Slot, chunk: Parcel, number: int) -> None:
        stream = chunk.ledger.stream
        deadline_s = self._deadlines.first_pass(stream)
        ran = await slot.run(self._request(chunk, range(len(chunk))), deadline_s=deadline_s)
        self._pace.spent(self._clocks.monotonic(), ran.run_s)
        if ran.done is not None:
            features = max(len(chunk), ran.done.features)
            self._bound(stream, self._pace.observe(stream, features, ran.run_s))
            self._deadlines.observe(stream, ran.run_s)
            self._events.chunk_done(stream, ran.done.features, ran.run_s, ran.done.step_seconds)
            chunk.sightings = ran.done.sightings
            verdict = Verdict(chunk, ran.done.codes, ran.done.messages)
        else:
            verdict = await self._after_failure(chunk, ran, deadline_s)
        self._working.discard(chunk)
        self._stirred.set()
        self._finish(stream, number, verdict)

    async def _after_failure(self, chunk: Parcel, ran: Ran, deadline_s: float) -> Verdict:
        failure = ran.failure or Failure.CRASH
        partial = _Partial(bytearray(len(chunk)), [])
        # What was voided meanwhile comes again: nothing is to be said of it here.
        left = [index for index, is_open in enumerate(chunk.open) if is_open]
        # Alone and at the full deadline, the culprit is known already.
        is_known = len(left) == 1 and deadline_s >= self._spec.timeout_s
        if not left:
            pass
        elif failure is Failure.SHUTDOWN or self._spec.on_failure == "drop" or is_known:
            self._reconcile(chunk, left, failure, ran.detail, partial, attempts=1)
        else:
            async with self._one_at_a_time:
                await self._look_for_culprit(chunk, left, ran, partial)
        chunk.sightings = partial.sightings
        return partial.verdict(chunk)

    async def _look_for_culprit(
        self, chunk: Parcel, left: list[int], ran: Ran, partial: _Partial
    ) -> None:
        if self._budget.may_start(self._clocks.monotonic()):
            if await self._isolate(chunk, left, partial) and ran.failure is Failure.TIMEOUT:
                # Nobody's fault: the stream has become slower than its first pass allows.
                self._deadlines.observe(chunk.ledger.stream, ran.run_s)
        else:
            detail = f"{ran.detail}; no time left to look for the culprit"
            self._reconcile(chunk, left, ran.failure or Failure.CRASH, detail, partial, attempts=1)

    async def _isolate(self, chunk: Parcel, left: list[int], partial: _Partial) -> bool:
        """Runs the chunk input by input; each culprit is reconciled, the others go on.

        Returns whether there was no culprit.
        """
        stall_s = (
            self._spec.timeout_s if len(left) == 1 else self._deadlines.stall(chunk.ledger.stream)
        )
        spent_s = 0.0
        failure, detail = Failure.CRASH, f"more than {_CULPRITS} culprits in one chunk"
        try:
            for culprits in range(_CULPRITS):
                ran = await self._run_each(chunk, left, stall_s)
                spent_s += ran.run_s
                for done in ran.done:
                    partial.add([left.pop(0)], done)
                if ran.failure is None:
                    return culprits == 0
                failure = ran.failure
                culprit = [left.pop(0)]
                self._reconcile(chunk, culprit, failure, ran.detail, partial, attempts=2)
                if not left:
                    return False
                if failure is Failure.SHUTDOWN:
                    detail = ran.detail
                    break
            self._reconcile(chunk, left, failure, detail, partial, attempts=2)
            return False
        finally:
            now = self._clocks.monotonic()
            self._budget.spent(now, spent_s)
            self._pace.spent(now, spent_s)

    async def _run_each(self, chunk: Parcel, indices: list[int], stall_s: float) -> RanEach:
        try:
            slot = await self._pool.idle(careful=True)
        except WorkerError as error:  # the service is ending
            return RanEach([], Failure.SHUTDOWN, str(error), 0.0, -1)
        return await slot.run_each(self._request(chunk, indices), stall_s=stall_s)

    def _request(self, chunk: Parcel, indices: range | list[int]) -> ChunkWork:
        part = chunk if len(indices) == len(chunk) else chunk.part(indices)
        return ChunkWork(
            stream=self._streams[chunk.ledger.stream],
            payloads=part.payloads,
            addresses=part.addresses,
            received=part.received,
            watched=self._is_watched(chunk.ledger.stream),
        )

    def _reconcile(
        self,
        chunk: Parcel,
        indices: list[int],
        failure: Failure,
        detail: str,
        partial: _Partial,
        *,
        attempts: int,
    ) -> None:
        stream = chunk.ledger.stream
        code = outcome_of(Outcome.RECONCILED, failure.value)
        inputs = [
            (
                self._identify(stream, chunk.payloads[i], chunk.addresses[i]),
                chunk.addresses[i],
                chunk.received[i],
            )
            for i in indices
        ]
        for index in indices:
            partial.codes[index] = code
            partial.details[index] = detail
        self._chunks += 1
        name = f"{stream}-{chunk.ledger.epoch}-{chunk.positions[indices[0]]}-{self._chunks}"
        body = encode_reconcile(
            chunk=name,
            stream=stream,
            reason=failure.value,
            inputs=inputs,
            attempts=attempts + max(self._earlier(chunk, index) for index in indices),
            at=self._clocks.wall(),
        )
        owner = indices[0] if len(indices) == 1 else -1
        ids = [identity for identities, _, _ in inputs for identity in identities]
        topic = self._reconcile_topic(stream, ids, chunk.addresses[indices[0]])
        partial.messages.append(
            OutMessage(owner, MessageKind.RECONCILE, topic, body, f"reconcile:{name}")
        )
        self._events.reconciled(stream, failure.value, ids, len(indices), f"{name}: {detail}")

    def _reconcile_topic(self, stream: str, ids: list[str], address: str) -> str:
        return self._reconcile_topics[stream].render_or_plain(
            PLAIN_RECONCILE, stream, ids[0] if ids else "", address
        )
