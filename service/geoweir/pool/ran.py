"""What became of a chunk in the pool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from geoweir.core.work import ChunkDone
from geoweir.pool.frames import Failure

__all__ = ["Failure", "Ran", "RanEach", "SlotState", "SlotStats"]

SlotState = Literal["starting", "idle", "busy", "backoff"]


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of one chunk: ``done``, or a ``failure`` and what is known about it."""

    done: ChunkDone | None
    failure: Failure | None
    detail: str
    run_s: float  # from the chunk's handing over to a worker
    worker: int  # index of the slot


@dataclass(frozen=True, slots=True)
class RanEach:
    """What became of a chunk input by input, in order, up to the first failure.

    ``done`` has one entry per input that was finished, each about that one input, whose index in
    it is 0; a failure is that of input ``len(done)``.
    """

    done: list[ChunkDone]
    failure: Failure | None
    detail: str
    run_s: float
    worker: int


@dataclass(frozen=True, slots=True)
class SlotStats:
    """A slot as it is now."""

    worker: int
    state: SlotState
    pid: int | None
    private_bytes: int
    busy_seconds: float  # since the start
    restarts: int
    answers: int  # to chunks, and to single inputs of careful runs
