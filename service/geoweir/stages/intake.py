"""The first stage: from a lane to the weir, less what needs no worker.

One intake per lane. It opens the account's entry of each input before anything else happens to it,
and holds what it could not hand on yet.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from itertools import chain
from typing import Protocol

from geoweir.codec.key import input_digest, result_key
from geoweir.codec.light import LightReader
from geoweir.codec.messages import encode_rejected
from geoweir.codec.reach import GEOGRAPHIC
from geoweir.codec.topics import PLAIN_REJECTED, TopicTemplate
from geoweir.core.account import Account, Event, Ledger
from geoweir.core.clocks import Clocks
from geoweir.core.lane import RETAINED, Batch, LaneClosed, LaneOpened
from geoweir.core.outcome import Outcome, outcome_of
from geoweir.core.parcel import Parcel
from geoweir.core.prefilter import Prefilter
from geoweir.core.repeats import Repeats
from geoweir.core.spec import StreamSpec
from geoweir.core.verdict import Verdict
from geoweir.core.work import MessageKind, OutMessage
from geoweir.ports import Inlet

__all__ = ["Intake"]


class Guarding(Protocol):
    """Who stands before the door; see ``stages.guarding``."""

    def look(self, parcel: Parcel) -> list[Parcel]:
        """What may come in."""
        ...

    def alone(self, parcel: Parcel) -> AbstractAsyncContextManager[None]:
        """The block lets a parcel in."""
        ...


class Intake:
    """Feeds the weir from one lane.

    Args:
        spec: the lane's stream.
        put: hands a parcel to the weir, waiting for room; a parcel holds at most ``piece`` inputs.
        deliver: takes a verdict that no worker is needed for.
        settle: settlement's ``settle``.
        void: called with the ledgers' stream and lane when its unsettled inputs come again.
        on_lane: told of each opening and closing.
        look: where set, shown every parcel as it was read.
        repeats: where set, what tells inputs apart that came before; shared by a stream's lanes.
        guard: where set, what knows of inputs that killed the service.
        divert: takes over what the weir has no room for; False: the weir is to have what is left
            in the list, from which only what has a verdict may be taken.
    """

    def __init__(
        self,
        *,
        spec: StreamSpec,
        inlet: Inlet,
        account: Account,
        put: Callable[[Parcel], Awaitable[None]],
        piece: int,
        deliver: Callable[[Verdict], None],
        settle: Callable[[Parcel, list[int], Outcome, str], None],
        void: Callable[[str], None],
        on_received: Callable[[str, int], None],
        on_lane: Callable[[str, LaneOpened | LaneClosed], None],
        clocks: Clocks,
        look: Callable[[Parcel], None] | None = None,
        repeats: Repeats | None = None,
        guard: Guarding | None = None,
        divert: Callable[[list[Parcel]], Awaitable[bool]] | None = None,
    ) -> None:
        self._spec = spec
        self._inlet = inlet
        self._account = account
        self._put = put
        self._piece = piece
        self._deliver = deliver
        self._settle = settle
        self._void = void
        self._on_received = on_received
        self._on_lane = on_lane
        self._clocks = clocks
        self._look = look
        self._repeats = repeats
        self._guard = guard
        self._divert = divert
        self._prefilter = Prefilter(
            spec.prefilter, spec.limits.ids, geographic=spec.crs in GEOGRAPHIC
        )
        self._light = LightReader(spec)
        self._rejected_topic = TopicTemplate.parse(spec.rejected.topic)
        self._needs_reading = any(
            bound is not None
            for bound in (
                spec.prefilter.bbox,
                spec.prefilter.z,
                spec.prefilter.max_age_s,
                spec.prefilter.min_interval_s,
            )
        )
        self._looks_closer = self._needs_reading or spec.retained == "ignore" or repeats is not None
        self._ledger: Ledger | None = None
        self._hand: list[Parcel] = []
        self._outside: list[Parcel] = []  # what the guard has not let in yet

    @property
    def stream(self) -> str:
        """The stream whose door it is."""
        return self._spec.name

    @property
    def forgotten(self) -> int:
        """How many ids left the memory of the pre-filter at its bound."""
        return self._prefilter.evicted

    def parcels(self) -> Iterator[Parcel]:
        """What intake answers for."""
        return chain(self._hand, self._outside)

    async def run(self) -> None:
        """Moves inputs until the inlet ends."""
        async for event in self._inlet.batches():
            match event:
                case Batch():
                    await self._take(event)
                case LaneOpened():
                    self._open(event)
                case LaneClosed():
                    self._close(event)

    def _open(self, event: LaneOpened) -> None:
        self._ledger = self._account.open_lane(
            self._spec.name, event.lane, event.epoch, resumed=event.resumed
        )
        if event.resumed:
            self._void(event.lane)
            self._prefilter.forget()
            if self._repeats is not None:
                self._repeats.voided()
        self._on_lane(self._spec.name, event)

    def _close(self, event: LaneClosed) -> None:
        if self._ledger is not None and not self._ledger.is_closed:
            self._account.close_lane(self._ledger)
            self._on_lane(self._spec.name, event)

    async def _take(self, batch: Batch) -> None:
        parcel = self._receive(batch)
        if self._guard is None:
            await self._let_in(parcel)
            return
        self._outside = self._guard.look(parcel)
        while self._outside:
            parcel = self._outside[0]
            async with self._guard.alone(parcel):
                self._outside.pop(0)
                await self._let_in(parcel)

    async def _let_in(self, parcel: Parcel) -> None:
        self._hand = [parcel]
        if self._look is not None:
            self._look(parcel)
        parcel = self._at_the_door(parcel)
        self._hand = [
            parcel.part(range(start, min(start + self._piece, len(parcel))))
            for start in range(0, len(parcel), self._piece)
        ]
        while self._hand:
            # No turn of the loop lies between another's taking over and this letting go.
            if self._divert is not None and await self._divert(self._hand):
                self._hand = []
                return
            piece = self._hand[0]
            self._account.advance(piece.ledger, piece.positions, Event.QUEUE)
            await self._put(piece)
            self._hand.pop(0)

    def _receive(self, batch: Batch) -> Parcel:
        ledger = self._ledger
        if ledger is None or ledger.epoch != batch.epoch:
            raise RuntimeError(f"lane {batch.lane} sent inputs of epoch {batch.epoch} unopened")
        now = self._clocks.monotonic()
        self._account.receive(ledger, batch.first, batch.flags, now)
        self._on_received(self._spec.name, len(batch))
        count = len(batch)
        return Parcel(
            ledger=ledger,
            positions=list(range(batch.first, batch.first + count)),
            payloads=list(batch.payloads),
            addresses=list(batch.addresses),
            headers=list(batch.headers),
            flags=batch.flags,
            received=[batch.received] * count,
            arrived=now,
            payload_bytes=sum(map(len, batch.payloads)),
            open=bytearray(b"\1") * count,
        )

    def _at_the_door(self, parcel: Parcel) -> Parcel:
        """Settles or sends away what needs no worker; the rest of the parcel."""
        sizes = list(map(len, parcel.payloads))
        if not self._looks_closer and min(sizes) > 0 and max(sizes) <= self._spec.limits.payload:
            return parcel
        rejected: list[int] = []
        filtered: dict[str, list[int]] = {}
        passing: list[int] = []
        limit = self._spec.limits.payload
        for index, payload in enumerate(parcel.payloads):
            if not payload or len(payload) > limit:
                rejected.append(index)
            elif (reason := self._filter_reason(parcel, index)) is not None:
                filtered.setdefault(reason, []).append(index)
            else:
                passing.append(index)
        if len(passing) == len(parcel):
            return parcel
        for reason, indices in filtered.items():
            self._settle(parcel, indices, Outcome.FILTERED, reason)
        if rejected:
            self._reject(parcel.part(rejected))
        return parcel.part(passing)

    def _filter_reason(self, parcel: Parcel, index: int) -> str | None:
        if parcel.flags[index] & RETAINED and self._spec.retained == "ignore":
            return "retained"
        reason = self._prefilter_reason(parcel, index) if self._needs_reading else None
        if reason is None and self._repeats is not None:
            digest = input_digest(parcel.addresses[index], parcel.payloads[index])
            if self._repeats.is_repeat(digest, parcel.arrived):
                return "repeat"
        return reason

    def _prefilter_reason(self, parcel: Parcel, index: int) -> str | None:
        light = self._light.read(parcel.payloads[index], parcel.addresses[index])
        if light is None:
            return None  # the worker decides
        return self._prefilter.decide(light, now=parcel.received[index])

    def _reject(self, parcel: Parcel) -> None:
        codes, messages = bytearray(), []
        for index, payload in enumerate(parcel.payloads):
            reason = "payload" if payload else "empty"
            detail = (
                f"{len(payload)} bytes, over limits.payload of {self._spec.limits.payload}"
                if payload
                else "the payload is empty"
            )
            codes.append(outcome_of(Outcome.REJECTED, reason))
            messages.append(self._rejection(parcel, index, reason, detail))
        self._deliver(Verdict(parcel, bytes(codes), messages))

    def _rejection(self, parcel: Parcel, index: int, reason: str, detail: str) -> OutMessage:
        stream, address = self._spec.name, parcel.addresses[index]
        payload = parcel.payloads[index]
        identity = next(iter(self._light.ids(payload, address)), None)
        body = encode_rejected(
            stream=stream,
            topic=address,
            id=identity,
            reason=reason,
            detail=detail,
            received=parcel.received[index],
            payload=payload,
        )
        topic = self._rejected_topic.render_or_plain(
            PLAIN_REJECTED, stream, identity or "", address
        )
        key = result_key(stream, identity or "", None, input_digest(address, payload))
        return OutMessage(index, MessageKind.REJECTED, topic, body, f"rejected:{key}")
