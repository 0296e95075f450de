"""How late the event loop comes: what everything that waits on it has to add."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final, NoReturn

__all__ = ["LagMeter"]

_PERIOD_S: Final = 0.05  # 20 wake-ups a second: under 0.1 % of a core
_SPAN_S: Final = 60.0


class LagMeter:
    """Measures the loop's lag on the monotonic clock and remembers the last minute of it.

    A loop that stands still for a second is one late wake-up but twenty that did not happen. Each
    of those is counted with the lag it would have had, or the percentiles would flatter the loop
    just when it is blocked.

    Args:
        observe: told every lag, in seconds.
    """

    def __init__(self, observe: Callable[[float], None]) -> None:
        self._observe = observe
        self._last: deque[float] = deque(maxlen=round(_SPAN_S / _PERIOD_S))

    async def run(self) -> NoReturn:
        """Measures until cancelled."""
        while True:
            due = time.monotonic() + _PERIOD_S
            await asyncio.sleep(_PERIOD_S)
            self.late(time.monotonic() - due)

    def late(self, lag_s: float) -> None:
        """Counts one late wake-up and those that it swallowed."""
        self._note(max(0.0, lag_s))
        swallowed = min(int(max(0.0, lag_s) / _PERIOD_S), self._last.maxlen or 0)
        for missed in range(1, swallowed + 1):
            self._note(lag_s - missed * _PERIOD_S)

    def p99_s(self) -> float:
        """The 99th percentile of the last minute, in seconds; 0 before the first measurement."""
        if not self._last:
            return 0.0
        return sorted(self._last)[(len(self._last) * 99 - 1) // 100]

    def _note(self, lag_s: float) -> None:
        self._last.append(lag_s)
        self._observe(lag_s)
