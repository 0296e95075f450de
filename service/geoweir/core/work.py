"""What goes to a worker and what comes back: plain values, columns of one chunk.

Payloads stay bytes until a worker has them, and come back as bytes that are ready to publish: the
service never parses a whole payload. Positions in every column are the input's index in the chunk.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

__all__ = ["ChunkDone", "ChunkWork", "MessageKind", "OutMessage"]


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
