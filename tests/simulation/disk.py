"""The store on a simulated disk, which loses what was not yet flushed when the service dies.

The store, its table and its SQL are the real ones; in the place of the thread and the file stands
a log of transactions. What was written and not flushed at a crash is there afterwards up to some
transaction, as SQLite promises of its log's torn tail; tests on real files hold SQLite to that.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from geoweir.core.kept import Drop
from geoweir.errors import StateError
from geoweir.store.kept import Bounds, KeptTable
from geoweir.store.schema import migrate
from geoweir.store.sqlite import SqliteStore, StoreEvents
from simulation.clockwork import SimLoop, World

__all__ = ["Disk", "SimStore"]

_Run = Callable[[KeptTable], Any]


@dataclass
class _Job:
    run: _Run
    answer: asyncio.Future[Any]
    changes: bool
    topics: list[str]


@dataclass
class _Transaction:
    runs: list[_Run]
    topics: list[str]


@dataclass
class Disk:
    """What outlives a service.

    Attributes:
        slow_s: seconds that a flush takes at most.
        faulty: share of transactions that find no room.
        safe: topics of inputs that were kept durably, or that the store said it does not keep.
    """

    world: World
    rng: Random
    slow_s: float = 0.01
    faulty: float = 0.0
    safe: set[str] = field(default_factory=set)
    flushed: list[_Transaction] = field(default_factory=list)
    written: list[_Transaction] = field(default_factory=list)
    connection: sqlite3.Connection | None = None

    def crash(self) -> None:
        """Some of what was written and not flushed is lost."""
        kept = self.rng.randint(0, len(self.written))
        self.world.note(f"disk keeps {kept} of {len(self.written)} unflushed transactions")
        for transaction in self.written[:kept]:
            self.flush(transaction)
        self.written.clear()

    def flush(self, transaction: _Transaction) -> None:
        """From now on it is there whatever happens."""
        self.flushed.append(transaction)
        self.safe.update(transaction.topics)

    def close(self) -> None:
        """Lets go of what a life that crashed had open."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def open(self, bounds: Bounds) -> tuple[sqlite3.Connection, KeptTable]:
        """The table as the disk has it."""
        self.close()
        connection = self.connection = sqlite3.connect(":memory:", isolation_level=None)
        migrate(connection, 0)
        table = KeptTable(connection, bounds)
        for transaction in self.flushed:
            for run in transaction.runs:
                run(table)
        return connection, table


class _Thread:
    """In the place of ``DatabaseThread``: one batch of jobs at a time, on simulated time."""

    def __init__(
        self, disk: Disk, bounds: Bounds, on_turn: Callable[[StateError | None], None]
    ) -> None:
        self.table: KeptTable | None = None
        self.topics: list[str] = []  # of what is submitted next
        self._connection: sqlite3.Connection | None = None
        self._disk = disk
        self._bounds = bounds
        self._on_turn = on_turn
        self._jobs: deque[_Job] = deque()
        self._is_busy = False
        self._is_ending = False
        self._doing: tuple[list[_Job], _Transaction | None] | None = None
        self._loop: SimLoop | None = None

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimLoop)
        self._loop = loop
        self._connection, self.table = self._disk.open(self._bounds)

    def submit(self, run: _Run, *, size: int = 0, changes: bool = False) -> asyncio.Future[Any]:
        del size
        assert self._loop is not None
        topics, self.topics = self.topics, []
        if self._is_ending:
            refused: asyncio.Future[Any] = self._loop.create_future()
            refused.set_exception(StateError("busy", "the store has ended"))
            return refused
        job = _Job(run, self._loop.create_future(), changes, topics)
        self._jobs.append(job)
        self._go()
        return job.answer

    def end(self) -> None:
        """What waits is done without a wait: a service that ends in order loses nothing."""
        self._is_ending = True
        if self._doing is not None and self._loop is not None and not self._loop.is_ghost:
            self._finish(*self._doing)
            self._doing = None
        while self._jobs and self._loop is not None and not self._loop.is_ghost:
            self._finish(self._take(), None)

    def join(self, seconds: float) -> None:
        del seconds
        if self._connection is not None:
            self._connection.close()

    def _go(self) -> None:
        if self._jobs and not self._is_busy:
            self._is_busy = True
            jobs = self._take()
            disk = self._disk
            transaction = None
            if jobs[0].changes:
                transaction = _written(disk, jobs)
            seconds = disk.rng.uniform(0.0001, disk.slow_s)
            self._doing = jobs, transaction
            disk.world.after(seconds, self._turn)

    def _take(self) -> list[_Job]:
        taken = [self._jobs.popleft()]
        while taken[0].changes and self._jobs and self._jobs[0].changes:
            taken.append(self._jobs.popleft())
        return taken

    def _turn(self) -> None:
        if self._loop is None or self._loop.is_ghost or self._doing is None:
            return
        doing, self._doing = self._doing, None
        self._is_busy = False
        self._finish(*doing)
        self._go()

    def _finish(self, jobs: list[_Job], transaction: _Transaction | None) -> None:
        disk, table = self._disk, self.table
        assert table is not None
        if transaction is None and jobs[0].changes:
            transaction = _written(disk, jobs)
        error: StateError | None = None
        results: list[Any] = []
        if transaction is not None:
            with contextlib.suppress(ValueError):
                disk.written.remove(transaction)
        if transaction is not None and disk.rng.random() < disk.faulty:
            error = StateError("full", "no space left")
        else:
            results = [job.run(table) for job in jobs]
            if transaction is not None:
                disk.flush(transaction)
        self._on_turn(error)
        for index, job in enumerate(jobs):
            if job.answer.done():
                continue
            if error is not None:
                job.answer.set_exception(error)
            else:
                job.answer.set_result(results[index])


def _written(disk: Disk, jobs: list[_Job]) -> _Transaction:
    """The jobs as one transaction, on its way to the disk."""
    topics = [topic for job in jobs for topic in job.topics]
    transaction = _Transaction([job.run for job in jobs], topics)
    disk.written.append(transaction)
    return transaction


class SimStore(SqliteStore):
    """The real store, on a simulated disk."""

    def __init__(
        self, disk: Disk, bounds: Bounds, *, events: StoreEvents, wall: Callable[[], float]
    ) -> None:
        super().__init__(None, bounds, events=events, wall=wall)
        self._disk = disk
        self._thread: Any = _Thread(disk, bounds, self._turned)
        self._database: Any = self._thread

    async def keep(self, drops: Sequence[Drop]) -> int:
        """Notes which inputs are meant, for the view from outside."""
        topics = [drop.topic for drop in drops]
        self._thread.topics = topics
        kept = await super().keep(drops)
        if kept < len(drops):
            self._disk.safe.update(topics)  # it said so: they are counted as not kept
        return kept
