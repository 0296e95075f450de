"""Puts chunks back in order: results of one stream leave in the order of their inputs.

A chunk whose worker answers early waits here for the chunks of its stream that were started before
it. How many may wait is bounded by the lane's window.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from geoweir.core.parcel import Parcel
from geoweir.core.sequence import Resequencer
from geoweir.core.verdict import Verdict

__all__ = ["Ordering"]

#: Chunks that are delivered at once; the others of a stream follow when the loop has turned.
_AT_ONCE: Final = 4


class Ordering:
    """One resequencer per stream, in front of delivery.

    What piled up behind a chunk that hung is not delivered in one go: other streams would wait.
    """

    def __init__(self, streams: Iterable[str], deliver: Callable[[Verdict], None]) -> None:
        self._sequences: dict[str, Resequencer[Verdict]] = {name: Resequencer() for name in streams}
        self._due: dict[str, deque[Verdict]] = {name: deque() for name in self._sequences}
        self._going: set[str] = set()  # streams whose rest follows
        self._deliver = deliver

    def start(self, stream: str) -> int:
        """The number of the stream's next chunk."""
        return self._sequences[stream].start()

    def finish(self, stream: str, number: int, verdict: Verdict) -> None:
        """Takes a chunk's verdict and delivers everything of the stream that is due."""
        self._due[stream].extend(self._sequences[stream].finish(number, verdict))
        if stream not in self._going:
            self._go(stream)

    def parcels(self) -> Iterator[Parcel]:
        """What ordering answers for."""
        for sequence in self._sequences.values():
            for verdict in sequence.waiting():
                yield verdict.parcel
        for due in self._due.values():
            for verdict in due:
                yield verdict.parcel

    def _go(self, stream: str) -> None:
        self._going.discard(stream)
        due = self._due[stream]
        for _ in range(min(_AT_ONCE, len(due))):
            self._deliver(due.popleft())
        if due:
            self._going.add(stream)
            asyncio.get_running_loop().call_soon(self._go, stream)
