"""The two clocks, handed to whoever needs the time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Clocks"]


@dataclass(frozen=True, slots=True)
class Clocks:
    """One clock for waiting (monotonic seconds), one for people and fix times (Unix seconds)."""

    monotonic: Callable[[], float]
    wall: Callable[[], float]
