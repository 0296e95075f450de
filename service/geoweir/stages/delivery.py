"""Publishes what the outcomes need, and reports each outcome when the broker has answered.

What is dropped is kept, where the configuration says so, before its outcome is settled.

An input is settled as published only when every message of its was acknowledged. A message that the
broker refuses makes its input rejected (reason ``refused``), with a rejected message of its own;
where that is refused as well, the log line is what names it: nothing is retried for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from geoweir.codec.messages import encode_rejected
from geoweir.codec.topics import PLAIN_REJECTED, TopicTemplate
from geoweir.core.account import Account, Event
from geoweir.core.outcome import REASON_CODES, Outcome, outcome_of
from geoweir.core.parcel import Parcel
from geoweir.core.spec import StreamSpec, TopicSpec
from geoweir.core.verdict import Verdict
from geoweir.core.work import MessageKind, OutMessage
from geoweir.ports import Outgoing, Outlet, Refusal

__all__ = ["BACKLOG_BYTES", "Delivery", "Keep"]

#: Parcel, the indices of each outcome code, messages, and details by index.
Keep = Callable[
    [Parcel, Mapping[int, Sequence[int]], Sequence[OutMessage], Mapping[int, str]], Awaitable[None]
]

#: Bytes on their way to the broker beyond which no new chunk is started.
BACKLOG_BYTES: Final = 32_000_000

_REFUSED: Final = outcome_of(Outcome.REJECTED, "refused")
_KEY: Final = "geoweir-key"
_CONTENT: Final = {
    MessageKind.RESULT: "application/geo+json",
    MessageKind.REJECTED: "application/json",
    MessageKind.RECONCILE: "application/json",
}


@dataclass(frozen=True, slots=True)
class _Route:
    """Where one stream's messages go."""

    spec: StreamSpec
    topics: Mapping[MessageKind, TopicSpec]
    rejected: TopicTemplate

    @classmethod
    def of(cls, spec: StreamSpec) -> _Route:
        return cls(
            spec=spec,
            topics={
                MessageKind.RESULT: spec.publish,
                MessageKind.REJECTED: spec.rejected,
                MessageKind.RECONCILE: spec.reconcile,
            },
            rejected=TopicTemplate.parse(spec.rejected.topic),
        )


class Delivery:
    """Sends verdicts' messages through the outlet.

    Args:
        settle: settlement's ``settle``.
        spawn: starts a task that the service owns.
        identify: the ids in an input: stream, payload, address.
        on_refused: told of each message that the broker refused: stream, kind, topic, refusal.
        keep: keeps the dropped inputs among those of each code; returns when that is durable.
    """

    def __init__(
        self,
        *,
        streams: tuple[StreamSpec, ...],
        account: Account,
        outlet: Outlet,
        settle: Callable[[Parcel, Sequence[int], Outcome, str], None],
        spawn: Callable[..., object],
        identify: Callable[[str, bytes, str], list[str]],
        on_refused: Callable[[str, MessageKind, str, Refusal], None],
        keep: Keep,
    ) -> None:
        self._routes = {spec.name: _Route.of(spec) for spec in streams}
        self._account = account
        self._outlet = outlet
        self._settle = settle
        self._spawn = spawn
        self._identify = identify
        self._on_refused = on_refused
        self._keep = keep
        self._under_way: set[Parcel] = set()
        self._bytes = 0
        self._room = asyncio.Event()
        self._room.set()

    def parcels(self) -> Iterator[Parcel]:
        """What delivery answers for."""
        return iter(self._under_way)

    async def room(self) -> None:
        """Waits while too much is on its way to the broker."""
        await self._room.wait()

    def deliver(self, verdict: Verdict) -> None:
        """Takes a verdict over; its inputs are settled when the broker has answered."""
        parcel, codes = verdict.parcel, verdict.codes
        filtered: dict[int, Sequence[int]] = {}
        leaving: dict[int, Sequence[int]] = {}
        for code, indices in _by_code(codes).items():
            is_filtered = REASON_CODES[code][0] is Outcome.FILTERED
            (filtered if is_filtered else leaving)[code] = indices
        for indices in leaving.values():
            self._account.advance(parcel.ledger, _at(parcel.positions, indices), Event.DELIVER)
        self._take(parcel)
        self._settle_groups(parcel, filtered)
        messages = verdict.messages
        if parcel.held < sum(map(len, leaving.values())):
            # What was voided while it was worked on comes again: its results would be repeats.
            messages = [
                message
                for message in messages
                if (parcel.open[message.input] if message.input >= 0 else parcel.held)
            ]
        if not leaving:
            self._let_go(parcel)
            return
        # Queued here and now, so that the order of delivery is the order of sending.
        size = sum([len(message.payload) for message in messages])
        self._grow(size)
        answers = self._outlet.send(self._outgoing(parcel, messages), flow=parcel.ledger.stream)
        self._spawn(
            self._finish(verdict, leaving, messages, answers, size),
            name=f"deliver-{parcel.ledger.stream}",
        )

    async def _finish(
        self,
        verdict: Verdict,
        leaving: Mapping[int, Sequence[int]],
        messages: list[OutMessage],
        answers: Awaitable[list[Refusal | None]],
        size: int,
    ) -> None:
        parcel, details = verdict.parcel, verdict.details
        try:
            refusals = await answers
        finally:
            self._grow(-size)
        if refusals.count(None) < len(refusals):
            details = {**details, **_refusal_details(messages, refusals)}
            leaving = await self._after_refusals(parcel, verdict.codes, leaving, messages, refusals)
        await self._keep(parcel, leaving, messages, details)
        self._settle_groups(parcel, leaving)
        self._let_go(parcel)

    async def _after_refusals(
        self,
        parcel: Parcel,
        codes: bytes,
        leaving: Mapping[int, Sequence[int]],
        messages: list[OutMessage],
        refusals: list[Refusal | None],
    ) -> Mapping[int, Sequence[int]]:
        """Reports what the broker refused; the inputs anew, by what became of them."""
        final = bytearray(codes)
        for message, refusal in zip(messages, refusals, strict=True):
            if refusal is not None:
                self._note_refusal(parcel, final, message, refusal)
        refused = {
            message.input: (message, refusal)
            for message, refusal in zip(messages, refusals, strict=True)
            if refusal is not None and message.kind is MessageKind.RESULT
        }
        if refused:
            await self._report_refused(parcel, refused)
        return _by_code(final, sorted(chain.from_iterable(leaving.values())))

    def _note_refusal(
        self, parcel: Parcel, codes: bytearray, message: OutMessage, refusal: Refusal
    ) -> None:
        self._on_refused(parcel.ledger.stream, message.kind, message.topic, refusal)
        if message.kind is not MessageKind.RESULT:
            return  # its input is rejected or reconciled as it is; the log names the message
        if message.input >= 0:
            codes[message.input] = _REFUSED
            return
        for index, code in enumerate(codes):
            if code == 0:
                codes[index] = _REFUSED

    async def _report_refused(
        self, parcel: Parcel, refused: Mapping[int, tuple[OutMessage, Refusal]]
    ) -> None:
        """Publishes one rejected message for each input whose result the broker refused."""
        reports = [
            self._refusal_report(parcel, max(index, 0), message, refusal)
            for index, (message, refusal) in refused.items()
        ]
        answers = await self._outlet.send(
            self._outgoing(parcel, reports), flow=parcel.ledger.stream
        )
        for report, answer in zip(reports, answers, strict=True):
            if answer is not None:
                self._on_refused(parcel.ledger.stream, report.kind, report.topic, answer)

    def _refusal_report(
        self, parcel: Parcel, owner: int, message: OutMessage, refusal: Refusal
    ) -> OutMessage:
        stream, address = parcel.ledger.stream, parcel.addresses[owner]
        identity = next(iter(self._identify(stream, parcel.payloads[owner], address)), None)
        topic = self._routes[stream].rejected.render_or_plain(
            PLAIN_REJECTED, stream, identity or "", address
        )
        payload = encode_rejected(
            stream=stream,
            topic=address,
            id=identity,
            reason="refused",
            detail=_refusal_detail(message, refusal),
            received=parcel.received[owner],
            payload=parcel.payloads[owner],
        )
        return OutMessage(owner, MessageKind.REJECTED, topic, payload, f"refused:{message.key}")

    def _settle_groups(self, parcel: Parcel, groups: Mapping[int, Sequence[int]]) -> None:
        for code, indices in groups.items():
            outcome, reason = REASON_CODES[code]
            self._settle(parcel, indices, outcome, reason)

    def _outgoing(self, parcel: Parcel, messages: list[OutMessage]) -> list[Outgoing]:
        route = self._routes[parcel.ledger.stream]
        outgoing = []
        for message in messages:
            kind, owner = message.kind, message.input
            to = route.topics[kind]
            passed_on = parcel.headers[owner] if owner >= 0 else ()
            if passed_on:
                passed_on = tuple(pair for pair in passed_on if pair[0] != _KEY)
            outgoing.append(
                Outgoing(
                    message.topic,
                    message.payload,
                    to.qos,
                    to.retain,
                    _CONTENT[kind],
                    passed_on,
                    message.key,
                )
            )
        return outgoing

    def _take(self, parcel: Parcel) -> None:
        self._under_way.add(parcel)

    def _let_go(self, parcel: Parcel) -> None:
        self._under_way.discard(parcel)

    def _grow(self, size: int) -> None:
        self._bytes += size
        if self._bytes < BACKLOG_BYTES:
            self._room.set()
        else:
            self._room.clear()


def _refusal_detail(message: OutMessage, refusal: Refusal) -> str:
    return f"the broker refused {message.topic}: {refusal.text}"


def _refusal_details(
    messages: Sequence[OutMessage], refusals: Sequence[Refusal | None]
) -> dict[int, str]:
    """The detail of each input whose result was refused; -1 for a result that they share."""
    return {
        message.input: _refusal_detail(message, refusal)
        for message, refusal in zip(messages, refusals, strict=True)
        if refusal is not None and message.kind is MessageKind.RESULT
    }


def _by_code(
    codes: bytes | bytearray, indices: Iterable[int] | None = None
) -> dict[int, Sequence[int]]:
    """The indices of each code, ascending; all of one code, as most chunks are, at once."""
    if indices is None:
        if codes.count(codes[:1]) == len(codes):
            return {codes[0]: range(len(codes))} if codes else {}
        indices = range(len(codes))
    groups: dict[int, list[int]] = {}
    for index in indices:
        groups.setdefault(codes[index], []).append(index)
    return dict(groups)


def _at(column: list[int], indices: Sequence[int]) -> list[int]:
    return column if len(indices) == len(column) else [column[index] for index in indices]
