"""The store's own thread: what the event loop hands it is done in order, and never waited for.

Changes that wait are put together in one transaction: one sync of the disk serves them all. What
waits is bounded; beyond the bound nothing is taken, and whoever asks is told at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

from geoweir.errors import StateError
from geoweir.store.database import Database
from geoweir.store.kept import KeptTable

__all__ = ["MOST_WAITING", "MOST_WAITING_BYTES", "DatabaseThread"]

T = TypeVar("T")

#: Jobs, and bytes in them, that may wait.
MOST_WAITING: Final = 4096
MOST_WAITING_BYTES: Final = 16_000_000
#: Of them at most so many in one transaction.
_TOGETHER: Final = 512
_TOGETHER_BYTES: Final = 4_000_000
#: How often there is a look at what has become too old, where nothing else comes.
_SWEEP_EVERY_S: Final = 60.0


@dataclass(slots=True)
class _Job:
    run: Callable[[KeptTable], object]
    answer: asyncio.Future[Any]
    size: int
    changes: bool


class DatabaseThread:
    """Runs jobs on a database.

    Args:
        database: used by the thread alone.
        wall: Unix seconds.
        on_turn: called in the thread after each turn, with the error where there was one.
    """

    def __init__(
        self,
        database: Database,
        *,
        wall: Callable[[], float],
        on_turn: Callable[[StateError | None], None],
    ) -> None:
        self._database = database
        self._wall = wall
        self._on_turn = on_turn
        self._jobs: deque[_Job] = deque()
        self._bytes = 0
        self._is_ending = False
        self._turn = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def submit(
        self, run: Callable[[KeptTable], T], *, size: int = 0, changes: bool = False
    ) -> asyncio.Future[T]:
        """Hands a job over, from the event loop.

        Args:
            run: in the thread, on the open database; may run twice where a transaction is undone.
            size: bytes that it holds meanwhile.
            changes: it is part of a transaction, and done when that is durable.

        Raises:
            StateError: as the future's exception: ``busy`` where too much waits, or the database's.
        """
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        with self._turn:
            is_full = len(self._jobs) >= MOST_WAITING or self._bytes + size > MOST_WAITING_BYTES
            if self._is_ending or (is_full and self._jobs):
                why = "the store has ended" if self._is_ending else "the disk is too slow for it"
                answer.set_exception(StateError("busy", why))
                return answer
            self._jobs.append(_Job(run, answer, size, changes))
            self._bytes += size
            self._turn.notify()
        return answer

    def end(self) -> None:
        """Takes nothing more; the thread ends when everything is done."""
        with self._turn:
            self._is_ending = True
            self._turn.notify()

    def join(self, seconds: float) -> None:
        """Waits for the thread's end, not for ever: a disk may hang."""
        self._thread.join(seconds)

    def _run(self) -> None:
        try:
            while (jobs := self._take()) is not None:
                if jobs:
                    self._work(jobs)
                else:
                    self._sweep()
        finally:
            self._database.close()

    def _take(self) -> list[_Job] | None:
        """What is to be done together; nothing when it is time to sweep, None at the end."""
        with self._turn:
            if not self._jobs and not self._is_ending:
                self._turn.wait(_SWEEP_EVERY_S)
            if not self._jobs:
                return None if self._is_ending else []
            taken = [self._pop()]
            size = taken[0].size
            while (
                taken[0].changes
                and self._jobs
                and self._jobs[0].changes
                and len(taken) < _TOGETHER
                and size + self._jobs[0].size <= _TOGETHER_BYTES
            ):
                taken.append(self._pop())
                size += taken[-1].size
            return taken

    def _pop(self) -> _Job:
        job = self._jobs.popleft()
        self._bytes -= job.size
        return job

    def _work(self, jobs: list[_Job]) -> None:
        error: Exception | None = None
        results: list[object] = []
        jobs = [job for job in jobs if not job.answer.cancelled()]  # nobody waits any more
        if not jobs:
            return
        try:
            if jobs[0].changes:
                results = self._database.change(lambda table: [job.run(table) for job in jobs])
            else:
                results = [self._database.ask(jobs[0].run)]
        except Exception as caught:  # noqa: BLE001 - whoever waits must hear of it, or waits for ever
            error = caught
        self._on_turn(error if isinstance(error, StateError) else None)
        loop = jobs[0].answer.get_loop()
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits any more
            loop.call_soon_threadsafe(_answer, jobs, results, error)

    def _sweep(self) -> None:
        try:
            self._database.change(lambda table: table.sweep(self._wall()))
        except StateError as error:
            self._on_turn(error)
        else:
            self._on_turn(None)


def _answer(jobs: list[_Job], results: list[object], error: Exception | None) -> None:
    """In the loop: what became of each job; who was cancelled meanwhile is told nothing."""
    for index, job in enumerate(jobs):
        if job.answer.done():
            continue
        if error is not None:
            job.answer.set_exception(error)
        else:
            cast("asyncio.Future[object]", job.answer).set_result(results[index])
