"""How tests wait: for something to become true, with a deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["eventually", "nothing_for", "until"]

T = TypeVar("T")
_EVERY_S = 0.02


def eventually(holds: Callable[[], T], seconds: float = 30, why: Callable[[], object] = str) -> T:
    """The first true value of ``holds``; AssertionError, with ``why()``, after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        value = holds()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {why()}"[:6000])
        time.sleep(_EVERY_S)


async def until(holds: Callable[[], object], seconds: float = 30) -> None:
    """``eventually`` within a loop, which goes on turning; TimeoutError in the end."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - anything may make it true, not only what sets events
            await asyncio.sleep(_EVERY_S)


def nothing_for(seconds: float, grows: Callable[[], int], limit: float = 60) -> None:
    """Waits until a count has not grown for so long: for streams whose end nobody announces."""
    deadline = time.monotonic() + limit
    before, since = grows(), time.monotonic()
    while time.monotonic() - since < seconds:
        assert time.monotonic() < deadline, f"it still grows after {limit} s: {before}"
        time.sleep(_EVERY_S)
        if (now := grows()) != before:
            before, since = now, time.monotonic()
