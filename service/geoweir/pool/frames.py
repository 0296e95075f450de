"""What the service and a worker say to each other: length-prefixed msgpack, typed and bounded.

A worker parses hostile bytes, so whatever comes from one is hostile too: it is decoded into these
types or refused, and never unpickled. A frame is four bytes of length, little-endian, and a body.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Final

import msgspec

from geoweir.core.outcome import REASON_CODES, Outcome
from geoweir.core.spec import ReferenceKind, WorkerSpec
from geoweir.core.work import ChunkDone, ChunkWork, OutMessage
from geoweir.errors import WorkerError
from geoweir.pool.sighted import Sighted, checked_sightings

__all__ = [
    "FRAME_LIMIT",
    "LENGTH",
    "Answer",
    "Assignment",
    "Failure",
    "Fault",
    "FrameReader",
    "Hand",
    "Handed",
    "Order",
    "Ready",
    "Refused",
    "Reply",
    "Request",
    "Taken",
    "Unfit",
    "checked_done",
    "decode_assignment",
    "decode_order",
    "decode_reply",
    "encode_frame",
    "pack",
]

FRAME_LIMIT: Final = 64_000_000  # bytes of one body
MESSAGES_LIMIT: Final = 1_000_000  # messages in one answer
TEXT_LIMIT: Final = 2_000  # characters of a fault's text
STEPS_LIMIT: Final = 1_000  # step times in one answer
FILES_LIMIT: Final = 1_000  # files in one hand; the kernel passes at most 253 at once
LENGTH: Final = struct.Struct("<I")

#: Codes that a worker may give: what is reconciled is decided by the service alone.
_WORKER_CODES: Final = bytes(
    code for code, (outcome, _) in enumerate(REASON_CODES) if outcome is not Outcome.RECONCILED
)

Bytes = Annotated[int, msgspec.Meta(ge=0, le=1 << 62)]
Text = Annotated[str, msgspec.Meta(max_length=TEXT_LIMIT)]


class Failure(StrEnum):
    """Why a chunk came to nothing; the names are the reconciled reasons."""

    TIMEOUT = "timeout"
    MEMORY = "memory"
    CRASH = "crash"
    OVERFLOW = "overflow"
    SHUTDOWN = "shutdown"


class Assignment(msgspec.Struct, frozen=True):
    """What a worker is for."""

    chains: str  # "module:function"; the module also has open_reference
    spec: WorkerSpec
    memory: int  # cap on private bytes
    is_sandboxed: bool = True


class Handed(msgspec.Struct, array_like=True, frozen=True):
    """An open file that a worker gets: what, and in which version, its descriptor is."""

    kind: ReferenceKind
    name: str
    version: str


class Hand(msgspec.Struct, array_like=True, frozen=True, tag=True):
    """From now on these are the files whose descriptors wait in the other socket.

    They stand in the order of ``files``, one message for the whole hand. The first hand of a worker
    is answered with Ready or Unfit, a later one with Taken.
    """

    files: list[Handed]
    is_last: bool  # no further hand belongs to it


class Request(msgspec.Struct, array_like=True, frozen=True, tag=True):
    """A chunk for a worker; with ``each``, to be answered input by input up to the first fault."""

    sequence: int
    each: bool
    work: ChunkWork


class Ready(msgspec.Struct, array_like=True, frozen=True, tag=True):
    """A worker can take chunks."""

    private: Bytes
    inherited: Bytes
    sandbox: Text = ""  # what holds; see ``pool.sandbox.enter``


class Unfit(msgspec.Struct, array_like=True, frozen=True, tag=True):
    """A worker can't become ready, for a reason that a person can mend."""

    text: Text


class Refused(msgspec.Struct, array_like=True, frozen=True):
    """A file that the worker can't use; it goes on with the one before."""

    kind: ReferenceKind
    name: Annotated[str, msgspec.Meta(max_length=TEXT_LIMIT)]
    version: Annotated[str, msgspec.Meta(max_length=TEXT_LIMIT)]
    text: Text


class Taken(msgspec.Struct, array_like=True, frozen=True, tag=True):
    """A worker works with what it was handed, but for what it refused."""

    refused: Annotated[list[Refused], msgspec.Meta(max_length=FILES_LIMIT)]
    private: Bytes
    inherited: Bytes


class Answer(msgspec.Struct, array_like=True, frozen=True, tag=True):
    """A chunk's outcomes (``index`` -1), or those of its input ``index``."""

    sequence: int
    index: int
    inherited: Bytes
    codes: bytes
    messages: Annotated[list[OutMessage], msgspec.Meta(max_length=MESSAGES_LIMIT)]
    features: Bytes
    step_seconds: Annotated[
        list[Annotated[float, msgspec.Meta(ge=0, le=1e9)]], msgspec.Meta(max_length=STEPS_LIMIT)
    ]
    private: Bytes
    sighted: Sighted | None = None


class Fault(msgspec.Struct, array_like=True, frozen=True, tag=True):
    """A chunk, or its input ``index``, raised; the worker lives on unless memory was refused."""

    sequence: int
    index: int
    failure: Failure
    text: Text


Order = Hand | Request
Reply = Ready | Unfit | Taken | Answer | Fault

_encoder = msgspec.msgpack.Encoder()
_assignments = msgspec.msgpack.Decoder(Assignment)
_orders: msgspec.msgpack.Decoder[Order] = msgspec.msgpack.Decoder(Order)
_replies: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)


def pack(value: Assignment | Order | Reply) -> bytes:
    """The body of a frame."""
    return _encoder.encode(value)


def encode_frame(value: Order | Reply) -> bytes:
    """A whole frame.

    Raises:
        WorkerError: the body is larger than ``FRAME_LIMIT``.
    """
    body = pack(value)
    if len(body) > FRAME_LIMIT:
        raise WorkerError(f"a frame of {len(body)} bytes is over the limit of {FRAME_LIMIT} bytes")
    return LENGTH.pack(len(body)) + body


def decode_assignment(body: bytes) -> Assignment:
    """Reads the service's own words; used in workers."""
    return _assignments.decode(body)


def decode_order(body: bytes | bytearray) -> Order:
    """Reads the service's own words; used in workers."""
    return _orders.decode(body)


def decode_reply(body: bytes | bytearray) -> Reply:
    """Reads a worker's words.

    Raises:
        WorkerError: the body is not one of the replies, whatever else it is.
    """
    try:
        return _replies.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError, MemoryError) as error:
        raise WorkerError(f"a worker sent a frame that is no reply: {str(error)[:200]}") from error


def checked_done(answer: Answer, inputs: int) -> ChunkDone:
    """The answer as a ``ChunkDone`` that describes exactly ``inputs`` inputs.

    Raises:
        WorkerError: the answer has other inputs, unknown codes, or codes that aren't a worker's.
    """
    if len(answer.codes) != inputs:
        raise WorkerError(f"a worker answered {len(answer.codes)} outcomes for {inputs} inputs")
    if answer.codes.translate(None, _WORKER_CODES):
        raise WorkerError("a worker answered an outcome that is none of a worker's")
    owners = [message.input for message in answer.messages]
    if owners and not (min(owners) >= -1 and max(owners) < inputs):
        raise WorkerError("a worker sent a message for an input that it wasn't given")
    return ChunkDone(
        codes=answer.codes,
        messages=answer.messages,
        features=answer.features,
        step_seconds=answer.step_seconds,
        private_bytes=answer.private,
        sightings=checked_sightings(answer.sighted, inputs),
    )


class FrameReader:
    """Cuts a stream of bytes into bodies of frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes | memoryview) -> Iterator[bytes]:
        """Yields each body that is complete now.

        Raises:
            WorkerError: a frame announces more than ``FRAME_LIMIT`` bytes.
        """
        self._buffer += data
        start = 0
        try:
            while (end := self._end(start)) is not None:
                with memoryview(self._buffer) as whole:
                    body = bytes(whole[start + LENGTH.size : end])
                yield body
                start = end
        finally:
            del self._buffer[:start]

    def _end(self, start: int) -> int | None:
        if len(self._buffer) - start < LENGTH.size:
            return None
        (size,) = LENGTH.unpack_from(self._buffer, start)
        if size > FRAME_LIMIT:
            raise WorkerError(f"a worker announced a frame of {size} bytes")
        end = start + LENGTH.size + int(size)
        return end if end <= len(self._buffer) else None
