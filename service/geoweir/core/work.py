"""What goes to a worker and what comes back: plain values, columns of one chunk.

Payloads stay bytes until a worker has them, and come back as bytes that are ready to publish: the
service never parses a whole payload. Positions in every column are the input's index in the chunk.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

__all__ = [
    "SIGHTINGS",
    "SIGHTING_ID",
    "ChunkDone",
    "ChunkWork",
    "MessageKind",
    "OutMessage",
    "Sightings",
]

#: Features of one chunk that are shown to watchers at most.
SIGHTINGS: Final = 1000
#: Characters of an id that are shown.
SIGHTING_ID: Final = 128


class MessageKind(IntEnum):
    """What a message is, which says where and how it is published."""

    RESULT = 0
    REJECTED = 1
    RECONCILE = 2


@dataclass(slots=True)
class ChunkWork:
    """Inputs of one stream for one worker."""

    stream: int  # index into WorkerSpec.streams
    payloads: list[bytes]
    addresses: list[str]  # the MQTT topic each input came on
    received: list[float]  # wall clock of arrival, Unix seconds
    watched: bool = False  # somebody wants to see the features: answer with sightings


@dataclass(slots=True)
class OutMessage:
    """One message that is ready to be published.

    ``input`` is the index of the input whose outcome needs this message, or -1 when all inputs
    share it: the published ones a batch of results, the reconciled ones a reconciliation message.
    """

    input: int
    kind: MessageKind
    topic: str
    payload: bytes
    key: str


@dataclass(slots=True)
class Sightings:
    """What watchers see of a chunk, in columns; a feature's outcome is that of its input.

    Attributes:
        crs: the CRS of every x and y: the one after the steps.
        inputs: index of the input that each feature belongs to.
        ids: cut to ``SIGHTING_ID`` characters; empty where there is none.
        x: of the point, or of the middle of the geometry's bounds; None where there is no place.
        y: likewise.
        times: fix times as Unix seconds, None where there is none.
    """

    crs: str = ""
    inputs: list[int] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    x: list[float | None] = field(default_factory=list)
    y: list[float | None] = field(default_factory=list)
    times: list[float | None] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.inputs)

    def add(
        self, index: int, ident: str, x: float | None, y: float | None, time: float | None
    ) -> None:
        """Appends one feature of the input ``index``."""
        self.inputs.append(index)
        self.ids.append(ident)
        self.x.append(x)
        self.y.append(y)
        self.times.append(time)

    def join(self, other: Sightings, indices: list[int]) -> None:
        """Appends what was seen of some of the inputs: its input ``i`` is our ``indices[i]``."""
        room = max(0, SIGHTINGS - len(self))
        self.crs = other.crs
        self.inputs += [indices[index] for index in other.inputs[:room]]
        self.ids += other.ids[:room]
        self.x += other.x[:room]
        self.y += other.y[:room]
        self.times += other.times[:room]


@dataclass(slots=True)
class ChunkDone:
    """A worker's answer: one outcome code per input, and the messages that the outcomes need.

    ``codes[i]`` indexes ``core.outcome.REASON_CODES``. An input with code 0 (published) has at
    least one RESULT message (or shares the chunk's), a rejected one exactly one REJECTED message,
    a filtered one none.
    """

    codes: bytes
    messages: list[OutMessage]
    features: int = 0
    step_seconds: list[float] = field(default_factory=list)  # parallel to StreamSpec.steps
    private_bytes: int = 0  # the worker's private memory after the chunk
    sightings: Sightings | None = None  # where the chunk was watched
