"""Turns what stages and ports report into events that are logged and counted."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from geoweir.core.gaps import Found
from geoweir.core.lane import LaneClosed, LaneOpened
from geoweir.core.outcome import Outcome
from geoweir.core.work import MessageKind
from geoweir.errors import StateError
from geoweir.ports import Refusal
from geoweir.telemetry import events
from geoweir.telemetry.metrics import Direction, Metrics

__all__ = ["Link", "Reporting"]

_REPORT_EVERY_S: Final = 1.0
_EXAMPLES: Final = 5  # gaps that a line names


@dataclass(slots=True)
class Link:
    """One connection to the broker as it is now; ``since`` is Unix seconds."""

    direction: Direction
    stream: str
    up: bool = False
    since: float = 0.0
    detail: str = "not connected yet"
    was_up: bool = False


class Reporting:
    """Listens to the stages; everything that a person or a metric should know passes here."""

    def __init__(self, metrics: Metrics, broker: str, streams: list[str]) -> None:
        self._log = logging.getLogger("geoweir")
        self._metrics = metrics
        self._broker = broker
        self._rejected: Counter[tuple[str, str]] = Counter()
        self._gaps: dict[str, events.SequenceGaps] = {}
        self._sandbox = ""
        self.links: list[Link] = [
            Link("out", "", since=time.time()),
            *(Link("in", stream, since=time.time()) for stream in streams),
        ]
        self.last_outcome = time.monotonic()
        self.changed = asyncio.Event()
        self.is_leaving = False  # connections end because we want it

    def emit(self, event: events.Event) -> None:
        """Logs and counts an event."""
        event.emit(self._log, self._metrics)

    def link(self, direction: Direction, stream: str, *, up: bool, why: str) -> None:
        """A connection changed; told again without a change, nothing is logged."""
        link = next(k for k in self.links if (k.direction, k.stream) == (direction, stream))
        if (link.up, link.detail) == (up, why):
            return
        link.up, link.detail, link.since = up, why, time.time()
        if up:
            self.emit(
                events.Connected(
                    direction=direction, address=self._broker, stream=stream, again=link.was_up
                )
            )
            link.was_up = True
        elif not self.is_leaving:
            self.emit(
                events.Disconnected(
                    direction=direction, address=self._broker, why=why, stream=stream
                )
            )
        self.changed.set()

    def is_linked(self) -> bool:
        """Whether every connection is up."""
        return all(link.up for link in self.links)

    def can_send(self) -> bool:
        """Whether the outputs' connection is up."""
        return self.links[0].up

    # What the stages tell.

    def received(self, stream: str, at: float) -> None:
        """Inputs were read."""
        self._metrics.received(stream, at)

    def paused(self, stream: str, *, paused: bool) -> None:
        """Reading of a stream stopped or went on."""
        self._metrics.reading_paused(stream, paused=paused, now=self._metrics.clock())

    def lane(self, stream: str, event: LaneOpened | LaneClosed, returned: int) -> None:
        """A lane began or ended an epoch."""
        if isinstance(event, LaneOpened):
            self.emit(
                events.LaneOpened(
                    stream=stream,
                    lane=event.lane,
                    epoch=event.epoch,
                    resumed=event.resumed,
                    returned=returned,
                )
            )
        else:
            self.emit(
                events.LaneClosed(stream=stream, lane=event.lane, epoch=event.epoch, why=event.why)
            )

    def settled(self, stream: str, outcome: Outcome, reason: str, n: int, seconds: float) -> None:
        """Inputs have their outcome."""
        self.last_outcome = time.monotonic()
        if outcome is Outcome.PUBLISHED:
            self._metrics.latency(stream, seconds, n)
        elif outcome is Outcome.REJECTED:
            self._rejected[stream, reason] += n

    def chunk_done(self, stream: str, features: int, seconds: float, steps: list[float]) -> None:
        """A worker finished a chunk."""
        self._metrics.chunk_done(stream, features=features, seconds=seconds, step_seconds=steps)

    def gaps_found(self, stream: str, found: Sequence[Found]) -> None:
        """Sequence numbers are missing; told once a second and stream."""
        missing = sum(one.last - one.first + 1 for one in found)
        self._metrics.sequence_gaps(stream, len(found), missing)
        before = self._gaps.get(stream) or events.SequenceGaps(stream, 0, 0, ())
        examples = [*before.examples, *(f"{one.id}: {one.first}-{one.last}" for one in found)]
        self._gaps[stream] = events.SequenceGaps(
            stream, before.gaps + len(found), before.missing + missing, examples[:_EXAMPLES]
        )

    def reconciled(self, stream: str, reason: str, ids: list[str], n: int, chunk: str) -> None:
        """Inputs are reconciled."""
        self.emit(events.InputsReconciled(stream=stream, reason=reason, ids=ids, n=n, chunk=chunk))

    def refused(self, stream: str, kind: MessageKind, topic: str, refusal: Refusal) -> None:
        """The broker refused a message."""
        del stream
        self.emit(
            events.OutputRefused(
                kind=kind.name.lower(), topic=topic, code=refusal.code, text=refusal.text
            )
        )

    # What the store tells.

    def store_failed(self, why: str, detail: str) -> None:
        """The store can't keep or read from now on."""
        self.emit(events.StoreFailed(why=why, detail=detail))

    def store_works(self) -> None:
        """The store works again."""
        self.emit(events.StoreWorks())

    def store_damaged(self, why: str, aside: str) -> None:
        """The state's file was put aside."""
        self.emit(events.StoreDamaged(why=why, aside=aside))

    def spill_trouble(self, error: StateError | None) -> None:
        """The spill can't take anything from now on, or can again."""
        self.emit(
            events.SpillWorks()
            if error is None
            else events.SpillFailed(why=error.why, detail=error.detail)
        )

    def spill_damaged(self, detail: str, lost: int) -> None:
        """A file of the spill is damaged."""
        self.emit(events.SpillDamaged(detail=detail, lost=lost))

    def spill_left(self, stream: str, n: int) -> None:
        """Inputs wait for a stream that isn't configured."""
        self.emit(events.SpillLeft(stream=stream, n=n))

    def not_kept(self, why: str, n: int) -> None:
        """Dropped inputs are not kept."""
        self.emit(events.InputsNotKept(why=why, n=n))

    def removed(self, counts: Mapping[str, int]) -> None:
        """Kept inputs left at a bound."""
        for why, n in counts.items():
            self.emit(events.KeptRemoved(why=why, n=n))

    def retried(self, stream: str, outcome: Outcome, n: int) -> None:
        """Retried inputs have their outcome."""
        self._metrics.retried_settled(stream, outcome, n)

    def restarted(self, worker: int, reason: str, detail: str) -> None:
        """A slot got a new worker."""
        self.emit(events.WorkerRestarted(worker=worker, reason=reason, detail=detail))

    def sandboxed(self, how: str) -> None:
        """A worker is ready; what holds for it is worth a line where it is news."""
        if how != self._sandbox:
            self._sandbox = how
            self.emit(events.WorkersSandboxed(how=how))

    async def run(self) -> None:
        """Reports rejected inputs and gaps once a second and reason, however many they are."""
        while True:
            await asyncio.sleep(_REPORT_EVERY_S)
            self.flush()

    def flush(self) -> None:
        """Reports what was rejected, and what is missing, since the last time."""
        for gaps in self._gaps.values():
            self.emit(gaps)
        self._gaps.clear()
        for (stream, reason), n in self._rejected.items():
            self.emit(
                events.InputsRejected(
                    stream=stream,
                    reason=reason,
                    n=n,
                    detail="each is on the stream's rejected topic with its detail",
                )
            )
        self._rejected.clear()
