"""Dropped inputs as they are kept, so that they can be sent through again.

What is kept has a name: a digest of the input's stream, topic and payload. Equal inputs are one
kept input, which counts how often it was dropped; so a redelivery after a crash, or a retry that
is dropped again, doubles nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from geoweir.core.lane import Headers
from geoweir.core.outcome import Outcome

__all__ = [
    "BOUNDS",
    "ID_BYTES",
    "KEPT_OUTCOMES",
    "TROUBLES",
    "Drop",
    "Kept",
    "KeptTotals",
    "Selection",
    "kept_id",
]

#: Outcomes whose inputs may be kept.
KEPT_OUTCOMES: Final = (Outcome.REJECTED, Outcome.RECONCILED)

#: The bounds at which the oldest leave, by their names in the configuration.
BOUNDS: Final = ("messages", "size", "age")

#: Why a dropped input is not kept.
TROUBLES: Final = (
    "full",  # no room on the disk
    "io",  # the disk failed
    "locked",  # another process has the file
    "unwritable",  # no right to write it
    "memory",  # not enough of it
    "damaged",  # the file, and so often that no fresh one is begun
    "busy",  # more waits for the disk than may wait
    "too-large",  # the input alone is over the bound of everything that is kept
)

#: 96 bits: a sender would try 2⁴⁸ payloads to find two of its own with one name.
ID_BYTES: Final = 12


def kept_id(stream: str, topic: str, payload: bytes) -> str:
    """The name of a kept input: 24 hex digits, equal for equal inputs on any machine."""
    names = f"{stream}\0{topic}\0".encode("utf-8", "surrogatepass")
    return blake2b(names + payload, digest_size=ID_BYTES).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """An input that was rejected or reconciled just now; times are Unix seconds.

    ``earlier``: how often it was dropped before, where it is a retry.
    """

    stream: str
    topic: str
    payload: bytes
    headers: Headers
    received: float
    dropped: float
    outcome: Outcome
    reason: str
    detail: str
    earlier: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A kept input; times are Unix seconds.

    Attributes:
        sequence: grows with each drop; the order in which the oldest leave.
        received: when it came first.
        dropped: when it was dropped last, with ``outcome``, ``reason`` and ``detail``.
        attempts: how often it went through the whole path and was dropped.
        size: bytes of its payload.
        payload: None where only the description was asked for.
    """

    id: str
    sequence: int
    stream: str
    topic: str
    headers: Headers
    received: float
    dropped: float
    outcome: str
    reason: str
    detail: str
    attempts: int
    size: int
    payload: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which kept inputs are meant: those that fit everything that is given.

    Attributes:
        ids: names, or beginnings of names; empty for any.
        since: dropped at this moment or later, Unix seconds.
        until: dropped before this moment.
        after: only sequences greater than this.
        up_to: only sequences up to this one.
    """

    ids: tuple[str, ...] = ()
    stream: str | None = None
    outcome: str | None = None
    reason: str | None = None
    since: float | None = None
    until: float | None = None
    after: int = 0
    up_to: int | None = None


@dataclass(frozen=True, slots=True)
class KeptTotals:
    """How much is kept; bytes count payloads, names and headers."""

    inputs: int = 0
    bytes: int = 0
