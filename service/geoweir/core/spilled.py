"""Inputs that wait on our disk, as the weir's overflow."""

from __future__ import annotations

from dataclasses import dataclass

from geoweir.core.lane import Headers

__all__ = ["Carried", "Spilled", "SpilledTotals"]


@dataclass(frozen=True, slots=True)
class Spilled:
    """One input; ``received`` is Unix seconds.

    ``sequence`` counts a stream's spilled inputs up without holes, over restarts too.
    """

    sequence: int
    topic: str
    payload: bytes
    headers: Headers
    flags: int
    received: float


@dataclass(frozen=True, slots=True)
class SpilledTotals:
    """What one stream has on the disk: inputs without an outcome, and bytes of its files."""

    messages: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Carried:
    """What an earlier life left of one stream on the disk.

    Attributes:
        waiting: inputs that may have been confirmed to their lane: only we have them.
        durable: sequences of inputs behind them that were not: their lane sends them again, if it
            still can.
        others: how many there are that no lane would send again.
        passed_over: sequences of inputs before them that came again from their lane.
        released: the last sequence of what waits.
        last: the last of all.
    """

    waiting: int
    durable: list[int]
    others: int
    passed_over: set[int]
    released: int
    last: int
