"""Puts chunks back in order: results of one stream leave in the order of their inputs.

A chunk whose worker answers early waits here for the chunks of its stream that were started before
it. How many may wait is bounded by the lane's window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from geoweir.core.parcel import Parcel
from geoweir.core.sequence import Resequencer
from geoweir.core.verdict import Verdict

__all__ = ["Ordering"]


class Ordering:
    """One resequencer per stream, in front of delivery."""

    def __init__(self, streams: Iterable[str], deliver: Callable[[Verdict], None]) -> None:
        self._sequences: dict[str, Resequencer[Verdict]] = {name: Resequencer() for name in streams}
        self._deliver = deliver

    def start(self, stream: str) -> int:
        """The number of the stream's next chunk."""
        return self._sequences[stream].start()

    def finish(self, stream: str, number: int, verdict: Verdict) -> None:
        """Takes a chunk's verdict and delivers everything of the stream that is due."""
        for due in self._sequences[stream].finish(number, verdict):
            self._deliver(due)

    def parcels(self) -> Iterator[Parcel]:
        """What ordering answers for."""
        for sequence in self._sequences.values():
            for verdict in sequence.waiting():
                yield verdict.parcel
