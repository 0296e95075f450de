"""Beside the path: looks at the sequence numbers of inputs as they are read, and reports gaps.

It changes nothing on an input's way. Retried inputs are not looked at: their numbers are old.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from geoweir.codec.numbered import SequenceReader
from geoweir.core.gaps import Found, Gaps
from geoweir.core.lane import REPEATED
from geoweir.core.parcel import Parcel
from geoweir.core.spec import StreamSpec

__all__ = ["Counting"]

_LOOK_EVERY_S: Final = 1.0


class Counting:
    """The sequence numbers of every stream that has ``fields.sequence``.

    Args:
        streams: the configured ones.
        is_saved: whether what changes is asked for, to be saved.
        redelivered: how many inputs of a stream a broker may send again.
        on_found: told of the gaps of a stream that were counted just now.
        clock: monotonic seconds.

    Attributes:
        gaps: what is known of each such stream.
    """

    def __init__(
        self,
        streams: Iterable[StreamSpec],
        *,
        is_saved: bool,
        redelivered: int,
        on_found: Callable[[str, Sequence[Found]], None],
        clock: Callable[[], float],
    ) -> None:
        counted = [stream for stream in streams if stream.fields.sequence is not None]
        self.gaps: Mapping[str, Gaps] = {
            stream.name: Gaps(stream.limits.ids, redelivered=redelivered, is_saved=is_saved)
            for stream in counted
        }
        self._readers = {stream.name: SequenceReader(stream) for stream in counted}
        self._on_found = on_found
        self._clock = clock

    def look(self, parcel: Parcel) -> None:
        """Looks at what was read from a connection just now."""
        stream = parcel.ledger.stream
        gaps, read = self.gaps[stream], self._readers[stream].read
        inputs = zip(parcel.payloads, parcel.addresses, parcel.flags, strict=True)
        for payload, address, flags in inputs:
            numbered = read(payload, address)
            if numbered is not None:
                found = gaps.see(*numbered, parcel.arrived, again=bool(flags & REPEATED))
                if found:
                    self._on_found(stream, found)

    def came_back(self, stream: str) -> None:
        """The stream's connection is a new one."""
        if stream in self.gaps:
            self.gaps[stream].came_back()

    async def run(self) -> None:
        """Counts, for ever, what nothing came to fill in time."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            now = self._clock()
            for stream, gaps in self.gaps.items():
                found = gaps.overdue(now)
                if found:
                    self._on_found(stream, found)
