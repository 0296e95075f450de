"""What streams remember of their inputs, between their memories and the store.

Repeats are saved by digest, sequence numbers by id. Moments are wall clock in the store, since only
that goes on while we don't run, and monotonic in the memories.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from geoweir.core.clocks import Clocks
from geoweir.core.gaps import Gaps, Track
from geoweir.core.repeats import Repeats
from geoweir.core.states import StateChange, StateRow
from geoweir.errors import StateError
from geoweir.ports import StateStore

__all__ = ["Memory"]

_REPEATS: Final = "repeats"
_SEQUENCE: Final = "sequence"
_TRACK: Final = msgspec.msgpack.Decoder(tuple[int, tuple[tuple[int, int], ...]])


class Memory:
    """Restores and collects what streams remember.

    Args:
        store: where it is.
        repeats: of each stream with ``dedupe``.
        gaps: of each stream with ``fields.sequence``.
        clocks: monotonic and wall.
    """

    def __init__(
        self,
        store: StateStore,
        *,
        repeats: Mapping[str, Repeats],
        gaps: Mapping[str, Gaps],
        clocks: Clocks,
    ) -> None:
        self._store = store
        self._repeats = repeats
        self._gaps = gaps
        self._clocks = clocks

    @property
    def streams(self) -> set[str]:
        """The streams that remember something."""
        return {*self._repeats, *self._gaps}

    async def restore(self) -> None:
        """Takes up what an earlier service remembered, as far as it can be read."""
        try:
            for stream, repeats in self._repeats.items():
                rows = await self._store.load_states(stream, _REPEATS)
                now = self._clocks.wall()
                ages = [(row.id, max(0.0, now - row.moment)) for row in rows]
                repeats.restore(ages, self._clocks.monotonic())
            for stream, gaps in self._gaps.items():
                rows = await self._store.load_states(stream, _SEQUENCE)
                gaps.restore(filter(None, map(_track, rows)), self._clocks.monotonic())
        except StateError:
            return  # the store has said so; what it can't give is not remembered

    def collect(self) -> list[StateChange]:
        """What changed since the last call."""
        return list(self._changes(self._clocks.wall()))

    def _changes(self, now: float) -> Iterator[StateChange]:
        for stream, repeats in self._repeats.items():
            settled, forgotten = repeats.take_changed()
            for digest in settled:
                yield StateChange(stream, _REPEATS, digest, b"", now)
            for digest in forgotten:
                yield StateChange(stream, _REPEATS, digest, None, now)
        for stream, gaps in self._gaps.items():
            for track in gaps.take_changed():
                value = msgspec.msgpack.encode((track.last, track.open))
                yield StateChange(stream, _SEQUENCE, track.id, value, now)
            for ident in gaps.take_gone():
                yield StateChange(stream, _SEQUENCE, ident, None, now)


def _track(row: StateRow) -> Track | None:
    try:
        return Track(row.id, *_TRACK.decode(row.value))
    except msgspec.MsgspecError:
        return None
