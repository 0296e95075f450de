"""Inputs that wait on our disk, as the weir's overflow."""

from __future__ import annotations

from dataclasses import dataclass

from geoweir.core.lane import Headers

__all__ = ["Spilled", "SpilledTotals"]


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
