"""What a supervisor and its processes say to each other, over a socket that only they have.

Frames are msgpack, typed and bounded: a process is ours, but it runs on bytes from strangers.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec
from msgspec import Struct

from geoweir.core.account import EarlierTotals
from geoweir.errors import WorkerError
from geoweir.settings.values import Settings
from geoweir.web.status import Condition, Overview, State

__all__ = [
    "Answer",
    "Ask",
    "Assignment",
    "Failed",
    "Forward",
    "FromMember",
    "Left",
    "Plan",
    "Ready",
    "Report",
    "ToMember",
    "frame",
    "hear_member",
    "hear_supervisor",
    "read_plan",
    "write_plan",
]

_HEADER: Final = 4
_MOST_BYTES: Final = 64 * 1024 * 1024


class Left(Struct, frozen=True):
    """What processes that ended go on adding to the sums: their account and page of metrics."""

    account: dict[str, Any]
    metrics: bytes


class Plan(Struct, frozen=True):
    """What ``run`` hands on to what it becomes, and a service to itself with another configuration.

    ``earlier``: the account's totals by stream, where the service was one before. ``left``: what
    a supervisor's processes left.
    """

    settings: Settings
    members: tuple[Settings, ...]
    waits_for_broker: bool
    earlier: dict[str, EarlierTotals] | None = None
    left: Left | None = None


class Assignment(Struct, frozen=True, tag=True):
    """The first word to a process: what it is."""

    index: int
    settings: Settings
    url: str  # where the supervisor answers HTTP for all
    waits_for_broker: bool


class Ask(Struct, frozen=True, tag=True):
    """A report is wanted."""


class Forward(Struct, frozen=True, tag=True):
    """A request for the process to answer; it is at a path of ``web.kept``."""

    number: int
    path: str
    query: dict[str, str]
    body: bytes

    async def read(self) -> bytes:
        """The body, as a request over HTTP has it."""
        return self.body


class Answer(Struct, frozen=True, tag=True):
    """The answer to the request of that number: HTTP's status, and JSON."""

    number: int
    status: int
    body: bytes


class Report(Struct, frozen=True, tag=True):
    """A process as its pages would show it, all of one moment."""

    account: dict[str, Any]
    overview: Overview
    state: State
    alive: Condition
    ready: list[Condition]
    metrics: bytes


class Ready(Struct, frozen=True, tag=True):
    """Everything of the process stands."""


class Failed(Struct, frozen=True, tag=True):
    """The process ends for a reason with a name; ``status`` is its exit status."""

    line: str
    status: int


ToMember = Assignment | Ask | Forward
FromMember = Report | Ready | Failed | Answer

_ENCODER: Final = msgspec.msgpack.Encoder()
_TO_MEMBER: Final = msgspec.msgpack.Decoder(ToMember)
_FROM_MEMBER: Final = msgspec.msgpack.Decoder(FromMember)
_PLAN: Final = msgspec.msgpack.Decoder(Plan)


def write_plan(plan: Plan) -> bytes:
    """A plan as bytes."""
    return _ENCODER.encode(plan)


def read_plan(data: bytes) -> Plan:
    """The plan in bytes."""
    return _PLAN.decode(data)


def frame(message: ToMember | FromMember) -> bytes:
    """A message as it goes over the socket."""
    body = _ENCODER.encode(message)
    return len(body).to_bytes(_HEADER, "big") + body


async def hear_member(reader: asyncio.StreamReader) -> FromMember | None:
    """The next message of a process; None when it has closed the socket.

    Raises:
        WorkerError: it says what is none.
    """
    body = await _body(reader)
    if body is None:
        return None
    try:
        message: FromMember = _FROM_MEMBER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WorkerError(f"a message that is none: {error}") from None
    return message


async def hear_supervisor(reader: asyncio.StreamReader) -> ToMember | None:
    """The next message of the supervisor; None when it is gone."""
    body = await _body(reader)
    return None if body is None else _TO_MEMBER.decode(body)


async def _body(reader: asyncio.StreamReader) -> bytes | None:
    try:
        size = int.from_bytes(await reader.readexactly(_HEADER), "big")
        if size > _MOST_BYTES:
            raise WorkerError(f"a message of {size} bytes")
        return await reader.readexactly(size)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
