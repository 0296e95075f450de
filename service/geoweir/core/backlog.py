"""What waits in the weir, and which of it goes next: priorities and chunking, without a loop.

Priorities are strict: while a high stream has inputs waiting, no normal one goes; but nothing
starves: what has waited longer than ``patience`` goes before everything else, oldest first.
Within one priority the stream whose oldest input waits longest goes first. A chunk holds inputs of
one stream only, at most ``chunk`` features or ``chunk_bytes`` of payload (a single larger input is
a chunk of its own).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Final

from geoweir.core.parcel import Parcel
from geoweir.core.spec import Priority

__all__ = ["PATIENCE_S", "Backlog"]

#: The longest that an input of a lower priority waits behind higher ones, in seconds.
PATIENCE_S: Final = 2.0

_RANK: Final[dict[Priority, int]] = {"high": 0, "normal": 1, "low": 2}
_LONG_PAYLOAD: Final = 1024


class Backlog:
    """Parcels in order of arrival per stream; a chunk is what is taken at once."""

    def __init__(self, priorities: Mapping[str, Priority], *, chunk: int, chunk_bytes: int) -> None:
        self._rank = {stream: _RANK[priority] for stream, priority in priorities.items()}
        self._waiting: dict[str, deque[Parcel]] = {stream: deque() for stream in priorities}
        self._chunk = dict.fromkeys(priorities, chunk)
        self._chunk_bytes = chunk_bytes
        self._messages = 0

    def __len__(self) -> int:
        return self._messages

    def bound(self, stream: str, features: int) -> None:
        """Sets how many features a chunk of the stream has at most."""
        self._chunk[stream] = features

    def rank(self, stream: str) -> int:
        """0 for high, 1 for normal, 2 for low."""
        return self._rank[stream]

    def parcels(self) -> Iterator[Parcel]:
        """Everything that waits."""
        for waiting in self._waiting.values():
            yield from waiting

    def add(self, parcel: Parcel) -> None:
        """Puts a parcel behind what waits of its stream."""
        self._waiting[parcel.ledger.stream].append(parcel)
        self._messages += len(parcel)

    def take(self, now: float) -> Parcel:
        """The next chunk; IndexError when nothing waits."""
        waiting = self._waiting[self._next_stream(now)]
        chunk = self._cut(waiting)
        self._fill(chunk, waiting)
        self._messages -= len(chunk)
        return chunk

    def top_up(self, chunk: Parcel) -> None:
        """Adds to a taken chunk what has come since of the same lane, within the same bounds."""
        waiting = self._waiting[chunk.ledger.stream]
        before = len(chunk)
        self._fill(chunk, waiting)
        self._messages -= len(chunk) - before

    def _fill(self, chunk: Parcel, waiting: deque[Parcel]) -> None:
        features, size = _features(chunk), chunk.payload_bytes
        most = self._chunk[chunk.ledger.stream]
        while waiting and waiting[0].ledger is chunk.ledger:
            count = _fitting(waiting[0], most - features, self._chunk_bytes - size)
            if not count:
                return
            part = self._cut_at(waiting, count)
            features += _features(part)
            size += part.payload_bytes
            chunk.join(part)

    def _next_stream(self, now: float) -> str:
        heads = [(w[0].arrived, stream) for stream, w in self._waiting.items() if w]
        if not heads:
            raise IndexError("nothing waits")
        arrived, oldest = min(heads)
        if now - arrived > PATIENCE_S:
            return oldest
        return min((self._rank[stream], arrived, stream) for arrived, stream in heads)[2]

    def _cut(self, waiting: deque[Parcel]) -> Parcel:
        most = self._chunk[waiting[0].ledger.stream]
        count = max(1, _fitting(waiting[0], most, self._chunk_bytes))
        return self._cut_at(waiting, count)

    @staticmethod
    def _cut_at(waiting: deque[Parcel], count: int) -> Parcel:
        parcel = waiting.popleft()
        if count < len(parcel):
            parcel, rest = parcel.split(count)
            waiting.appendleft(rest)
        return parcel


def _weight(payload: bytes) -> int:
    # An input counts as the features that it may hold. Only a long payload can be a collection
    # worth counting, and counting a word costs nothing beside parsing.
    return 1 if len(payload) < _LONG_PAYLOAD else max(1, payload.count(b'"geometry"'))


def _features(parcel: Parcel) -> int:
    return len(parcel) if _is_short(parcel) else sum(map(_weight, parcel.payloads))


def _is_short(parcel: Parcel) -> bool:
    """Whether no payload can be a collection worth counting."""
    return max(map(len, parcel.payloads)) < _LONG_PAYLOAD


def _fitting(parcel: Parcel, features: int, size: int) -> int:
    """How many of the parcel's first inputs fit into so many features and bytes."""
    if len(parcel) <= features and parcel.payload_bytes <= size and _is_short(parcel):
        return len(parcel)
    for index, payload in enumerate(parcel.payloads):
        features -= _weight(payload)
        size -= len(payload)
        if features < 0 or size < 0:
            return index
    return len(parcel)
