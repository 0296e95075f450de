"""Staging mode: what costs too much for production, and answers what production only hints at.

Nothing here is imported, and so nothing is installed, unless ``GEOWEIR_ENV=staging``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import orjson

from geoweir.telemetry.log import LOGGER, write
from geoweir.telemetry.metrics import Metrics
from geoweir.telemetry.staging.loop import LoopWatch
from geoweir.telemetry.staging.memory import MemoryReport, MemoryTracer
from geoweir.telemetry.staging.profile import profile

__all__ = ["Staging"]

_SLOW_S: Final = 0.1
_SHOWN: Final = 5  # places in a log line


class Staging:
    """Debugging of one service process.

    Args:
        state: the state's file, beside which SIGUSR1 writes; None: to the log only.
    """

    def __init__(self, state: str | None) -> None:
        self._file = None if state is None else Path(f"{state}.memory.json")
        self._loop_watch = LoopWatch()
        self._tracer: MemoryTracer | None = None
        self._one_at_a_time = asyncio.Lock()
        self._writing: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Everything is on during the block, and off after it."""
        loop = asyncio.get_running_loop()
        self._tracer = MemoryTracer()
        loop.set_debug(True)
        loop.slow_callback_duration = _SLOW_S
        loop.add_signal_handler(signal.SIGUSR1, self._asked)
        write(LOGGER, logging.WARNING, "staging", detail="slow: not for production")
        try:
            with self._loop_watch.watching():
                yield
        finally:
            loop.remove_signal_handler(signal.SIGUSR1)
            if self._writing is not None:
                await asyncio.wait({self._writing})
            loop.set_debug(False)
            self._tracer.close()

    def pages(self, metrics: Metrics) -> dict[str, Callable[[], Awaitable[Any]]]:
        """What HTTP shows of it, by path."""

        async def show_profile() -> dict[str, Any]:
            watch = self._loop_watch
            return {
                "streams": profile(metrics),
                "slow_callbacks": dict(watch.slow),
                "unclosed": dict(watch.unclosed),
            }

        return {"/debug/memory": self.memory, "/debug/profile": show_profile}

    async def memory(self) -> MemoryReport:
        """Where memory is, and what has grown since it was asked last."""
        if self._tracer is None:
            raise RuntimeError("nothing is traced outside of watching")
        async with self._one_at_a_time:
            return await asyncio.to_thread(self._tracer.report)

    def _asked(self) -> None:
        if self._writing is None or self._writing.done():  # else it is about to be answered
            self._writing = asyncio.get_running_loop().create_task(self._write(), name="memory")

    async def _write(self) -> None:
        report = await self.memory()
        top = [f"{p['where']} {p['bytes']} ({p['more_bytes']:+})" for p in report["top"][:_SHOWN]]
        write(LOGGER, logging.INFO, "memory", traced_bytes=report["traced_bytes"], top=top)
        if self._file is None:
            return
        try:
            await asyncio.to_thread(_replace, self._file, orjson.dumps(report))
        except OSError as error:
            write(LOGGER, logging.WARNING, "memory-not-written", why=error.strerror or "")


def _replace(path: Path, text: bytes) -> None:
    """Writes a file for its owner alone; whoever reads it sees the old or the new one."""
    fresh = path.with_name(path.name + ".new")
    opened = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(opened, "wb") as file:
        file.write(text)
    fresh.replace(path)
