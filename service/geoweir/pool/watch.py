"""Looks at the memory of running workers, with one timer for all that runs only while they do."""

from __future__ import annotations

import asyncio
from typing import Final

from geoweir.pool.frames import Failure
from geoweir.pool.process import Cause, WorkerProcess

__all__ = ["MemoryWatch"]

POLL_S: Final = 0.02


class MemoryWatch:
    """Ends workers that reach the cap of private bytes while they have a chunk."""

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self._busy: set[WorkerProcess] = set()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, worker: WorkerProcess) -> None:
        """Watches a worker from now on."""
        self._busy.add(worker)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(POLL_S, self._look)

    def discard(self, worker: WorkerProcess) -> None:
        """Watches it no longer."""
        self._busy.discard(worker)

    def close(self) -> None:
        """Stops the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        for worker in self._busy:
            if (used := worker.used()) >= self._cap:
                text = f"{used / 1e6:.0f} MB of private memory, the cap is {self._cap / 1e6:.0f} MB"
                worker.kill(Cause("memory", Failure.MEMORY, text))
        if self._busy:
            self._timer = asyncio.get_running_loop().call_later(POLL_S, self._look)
