"""Who watches what goes through: ``tap``, and whatever shows features as they come.

An observer gets columns of text and numbers when inputs are settled, which is when their outcome is
certain. It never holds anything up: what it does not take in time is lost to it, oldest first, and
counted as ``missed``. Nothing here keeps a reference to a parcel, a payload or a message. With
nobody watching, a stream costs one look into an empty dict for each chunk.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from geoweir.core.outcome import Outcome
from geoweir.core.parcel import Parcel
from geoweir.core.work import SIGHTING_ID, SIGHTINGS, Sightings

__all__ = ["MOST_RATE", "MOST_WATCHERS", "Observers", "Seen", "Watcher"]

MOST_WATCHERS: Final = 32
MOST_RATE: Final = 10_000  # features a second for one watcher
_BUFFER: Final = 1024  # features that wait for one watcher to take them
_TOPIC: Final = 128  # characters of a topic that are shown
#: Bytes of payload that are worth a look for an id on the loop, where no worker has seen the input.
_GLANCE: Final = 4096

_Rows = list[tuple[int, int]]  # index of the input, row of the sightings or -1


@dataclass(frozen=True, slots=True)
class Seen:
    """Features whose inputs got one outcome at one moment, in columns.

    Attributes:
        stream: the stream.
        at: when they were settled, Unix seconds.
        outcome: what became of their inputs.
        reason: why, from the closed list of the outcome.
        crs: of every x and y; empty where none has a place.
        ids: None where there is none at hand.
        topics: where each input came from.
        x: of the point, or of the middle of the bounds; None where no worker saw it.
        y: likewise.
        times: fix times as Unix seconds.
    """

    stream: str
    at: float
    outcome: Outcome
    reason: str
    crs: str
    ids: list[str | None]
    topics: list[str]
    x: list[float | None]
    y: list[float | None]
    times: list[float | None]

    def __len__(self) -> int:
        return len(self.ids)

    def first(self, count: int) -> Seen:
        """The first ``count`` features; itself where that is all."""
        if count >= len(self):
            return self
        return replace(
            self,
            ids=self.ids[:count],
            topics=self.topics[:count],
            x=self.x[:count],
            y=self.y[:count],
            times=self.times[:count],
        )


class Watcher:
    """What one observer is shown, as far as it takes it.

    Args:
        outcome: the only one that is shown; None for all.
        limit: features in all; None for no end.
        rate: features a second at most, as many of them at once.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        *,
        outcome: Outcome | None,
        limit: int | None,
        rate: int,
        clock: Callable[[], float],
    ) -> None:
        self._outcome = outcome
        self._left = limit
        self._rate = rate
        self._clock = clock
        self._allowed = float(rate)
        self._allowed_at = clock()
        self._waiting: deque[Seen] = deque()
        self._features = 0
        self._missed = 0
        self._change = asyncio.Event()
        self.ended = ""  # why there is nothing more to come

    def __repr__(self) -> str:
        return f"<Watcher of {self._outcome or 'all'} waiting={self._features}>"

    def wants(self, outcome: Outcome) -> bool:
        """Whether inputs with this outcome are of interest, and the limit isn't reached."""
        if self.ended or self._left == self._features:
            return False
        return self._outcome is None or self._outcome is outcome

    def room(self) -> int:
        """How many features it may be given now."""
        now = self._clock()
        self._allowed = min(self._rate, self._allowed + (now - self._allowed_at) * self._rate)
        self._allowed_at = now
        allowed = int(self._allowed)
        return allowed if self._left is None else min(allowed, self._left - self._features)

    def give(self, seen: Seen | None, total: int) -> None:
        """Shows as much as there is room for, out of ``total`` features that there were."""
        part = None if seen is None else seen.first(self.room())
        shown = 0 if part is None else len(part)
        self._missed += total - shown
        if part is None or not shown:
            return
        self._allowed -= shown
        self._waiting.append(part)
        self._features += shown
        while self._features > _BUFFER:
            lost = len(self._waiting.popleft())
            self._features -= lost
            self._missed += lost
        self._change.set()

    async def take(self, patience_s: float) -> Seen | None:
        """The next features; None after ``patience_s`` without any, or at the end."""
        if not self._waiting and not self.ended:
            self._change.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience_s):
                    await self._change.wait()
        if not self._waiting:
            return None
        seen = self._waiting.popleft()
        self._features -= len(seen)
        if self._left is not None:
            self._left -= len(seen)
            if not self._left:
                self.end("limit")
        return seen

    def missed(self) -> int:
        """Features that were not shown since the last time that this was asked."""
        missed, self._missed = self._missed, 0
        return missed

    def end(self, why: str) -> None:
        """Shows nothing more than what waits already."""
        self.ended = self.ended or why
        self._change.set()


class Observers:
    """All watchers, by the streams that they watch.

    Args:
        streams: the names of all streams.
        identify: the ids in an input: stream, payload, address.
        clock: monotonic seconds.
        wall: Unix seconds.
    """

    def __init__(
        self,
        streams: Iterable[str],
        *,
        identify: Callable[[str, bytes, str], list[str]],
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.streams = tuple(streams)
        self._identify = identify
        self._clock = clock
        self._wall = wall
        self._watchers: list[Watcher] = []
        self._by_stream: dict[str, list[Watcher]] = {}  # only streams that somebody watches
        self._ended = ""

    def __len__(self) -> int:
        return len(self._watchers)

    def is_full(self) -> bool:
        """Whether there are as many watchers as there may be."""
        return len(self._watchers) >= MOST_WATCHERS

    def is_watched(self, stream: str) -> bool:
        """Whether somebody wants to see the stream's features."""
        return stream in self._by_stream

    @contextlib.contextmanager
    def watch(
        self,
        stream: str | None = None,
        *,
        outcome: Outcome | None = None,
        limit: int | None = None,
        rate: int = MOST_RATE,
    ) -> Iterator[Watcher]:
        """A watcher of one stream, or of all, while the block lasts.

        Raises:
            ValueError: there are too many already, the stream is unknown, or a number is no bound.
        """
        if self.is_full() or not 0 < rate <= MOST_RATE or (limit is not None and limit < 1):
            raise ValueError("too many watchers, or a limit or rate that is none")
        if stream is not None and stream not in self.streams:
            raise ValueError(f"no stream is named {stream!r}")
        watcher = Watcher(outcome=outcome, limit=limit, rate=rate, clock=self._clock)
        if self._ended:
            watcher.end(self._ended)
        self._watchers.append(watcher)
        watched = self.streams if stream is None else (stream,)
        for name in watched:
            self._by_stream.setdefault(name, []).append(watcher)
        try:
            yield watcher
        finally:
            self._watchers.remove(watcher)
            for name in watched:
                self._leave(name, watcher)

    def show(self, parcel: Parcel, indices: Sequence[int], outcome: Outcome, reason: str) -> None:
        """Shows the inputs at ``indices`` of a parcel, which are about to be settled so.

        Voided inputs are left out: they come again.
        """
        stream = parcel.ledger.stream
        watchers = [w for w in self._by_stream.get(stream, ()) if w.wants(outcome)]
        if not watchers:
            return
        rows = _rows(parcel, indices)
        most = min(max(watcher.room() for watcher in watchers), SIGHTINGS)
        seen = self._seen(parcel, rows[:most], outcome, reason) if most > 0 and rows else None
        for watcher in watchers:
            watcher.give(seen, len(rows))

    def close(self, why: str) -> None:
        """Ends every watcher, and those to come."""
        self._ended = why
        for watcher in self._watchers:
            watcher.end(why)

    def _leave(self, stream: str, watcher: Watcher) -> None:
        left = self._by_stream[stream]
        left.remove(watcher)
        if not left:
            del self._by_stream[stream]

    def _seen(self, parcel: Parcel, rows: _Rows, outcome: Outcome, reason: str) -> Seen:
        of = parcel.sightings or Sightings()
        return Seen(
            stream=parcel.ledger.stream,
            at=self._wall(),
            outcome=outcome,
            reason=reason,
            crs=of.crs,
            ids=[
                (of.ids[row] or None) if row >= 0 else self._glance(parcel, index)
                for index, row in rows
            ],
            topics=[parcel.addresses[index][:_TOPIC] for index, _ in rows],
            x=[of.x[row] if row >= 0 else None for _, row in rows],
            y=[of.y[row] if row >= 0 else None for _, row in rows],
            times=[of.times[row] if row >= 0 else None for _, row in rows],
        )

    def _glance(self, parcel: Parcel, index: int) -> str | None:
        """The id of an input that no worker has seen, where it costs little to find."""
        payload = parcel.payloads[index]
        ids = self._identify(
            parcel.ledger.stream,
            payload if len(payload) <= _GLANCE else b"",
            parcel.addresses[index],
        )
        return ids[0][:SIGHTING_ID] if ids else None


def _rows(parcel: Parcel, indices: Sequence[int]) -> _Rows:
    """The features of some inputs, and the inputs of which no worker has seen any."""
    left = {index for index in indices if parcel.open[index]}
    rows: _Rows = []
    if parcel.sightings is not None:
        inputs = parcel.sightings.inputs
        rows = [(index, row) for row, index in enumerate(inputs) if index in left]
        left.difference_update(inputs)
    rows += [(index, -1) for index in sorted(left)]
    return rows
