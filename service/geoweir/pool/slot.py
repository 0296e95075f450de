"""A place for one worker at a time: hands it chunks, judges it, and replaces it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from geoweir.core.work import ChunkDone, ChunkWork
from geoweir.errors import WorkerError
from geoweir.pool.backoff import Backoff
from geoweir.pool.frames import Answer, Failure, Fault, Reply, Request, encode_frame
from geoweir.pool.job import Job
from geoweir.pool.memory import RECYCLE_SHARE
from geoweir.pool.process import Cause, WorkerProcess
from geoweir.pool.ran import Ran, RanEach, SlotState, SlotStats
from geoweir.pool.shelf import Shelf, ShelfFile
from geoweir.pool.watch import MemoryWatch

__all__ = ["PoolEvents", "Post", "Slot"]

START_S: Final = 10.0  # from its fork, for a worker to become ready
_TOO_SLOW: Final = Cause("start", Failure.CRASH, f"it took more than {START_S:.0f} s")
_TOO_LONG: Final = Cause(
    "start", Failure.CRASH, f"it took more than {START_S:.0f} s to take up a file"
)
_CLOSED: Final = Cause("recycle", Failure.SHUTDOWN, "the service is ending")
_ABANDONED: Final = Cause("recycle", Failure.SHUTDOWN, "its chunk was abandoned")


class PoolEvents(Protocol):
    """Who is told what happens to workers."""

    def restarted(self, worker: int, reason: str, detail: str) -> None:
        """A worker ended and is replaced; ``reason``: timeout, memory, crash, recycle or start."""
        ...

    def sandboxed(self, how: str) -> None:
        """A worker is ready; ``how`` it is kept from all that no chunk needs."""
        ...


@dataclass(frozen=True, slots=True)
class Post:
    """What all slots of a pool have in common."""

    body: bytes  # the packed assignment
    warm: str  # the module that chains come from
    shelf: Shelf
    memory: int  # cap on private bytes of one worker
    timeout_s: float  # what a deadline may be put off to on a busy machine
    watch: MemoryWatch
    events: PoolEvents
    offer: Callable[[Slot], None]  # the slot can be had
    withdraw: Callable[[Slot], None]  # the slot can't be had any longer


class Slot:
    """One of the pool's places, which ``Pool.idle`` reserves for one run.

    Attributes:
        index: the slot's number, which labels its workers.
        first_ready: done when the first worker is ready; WorkerError when it never was.
    """

    def __init__(self, index: int, post: Post) -> None:
        self.index = index
        self.first_ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._post = post
        self._state: SlotState = "starting"
        self._worker: WorkerProcess | None = None  # from its fork to its end
        self._job: Job | None = None
        self._sequences = itertools.count()
        self._backoff = Backoff()
        self._is_reserved = False
        self._is_up = asyncio.Event()  # a worker is ready, or none will be any more
        self._closing = asyncio.Event()
        self._busy_s = 0.0
        self._restarts = 0
        self._answers = 0

    # For the holder of the reservation

    async def run(self, work: ChunkWork, *, deadline_s: float) -> Ran:
        """Runs a chunk, and gives the slot back whatever happens.

        Never raises for the chunk's fault. When it is cancelled the chunk is abandoned and the
        worker replaced.
        """
        done, failure, detail, run_s = await self._run(work, each=False, limit_s=deadline_s)
        return Ran(done[0] if done else None, failure, detail, run_s, self.index)

    async def run_each(self, work: ChunkWork, *, stall_s: float) -> RanEach:
        """Runs a chunk input by input up to the first failure, and gives the slot back.

        No answer for ``stall_s`` seconds is a failure of the first input that has none.
        """
        return RanEach(*await self._run(work, each=True, limit_s=stall_s), self.index)

    def release(self) -> None:
        """Gives a reservation back that was not used to run; without one it does nothing."""
        if self._is_reserved:
            self._is_reserved = False
            self._offer()

    def is_behind(self) -> bool:
        """Whether its worker holds another version of a file than it is to."""
        worker = self._live_worker()
        return worker is not None and bool(self._post.shelf.missing(worker.held))

    async def renew(self) -> None:
        """Has its worker take up what changed, unless another is about that, and gives it back."""
        try:
            if (worker := self._live_worker()) is not None:
                await self._renew(worker)
        finally:
            self.release()

    # For the pool

    def reserve(self) -> None:
        """Keeps the slot for one caller."""
        self._is_reserved = True

    @property
    def state(self) -> SlotState:
        """What the slot does now."""
        return self._state

    def has_worker(self) -> bool:
        """Whether there is a process in the slot, be it ready or not."""
        return self._worker is not None and self._worker.is_alive()

    def stats(self) -> SlotStats:
        """The slot as it is now."""
        return SlotStats(
            worker=self.index,
            state=self._state,
            pid=self._worker.pid if self._worker else None,
            private_bytes=self._worker.private if self._worker else 0,
            busy_seconds=self._busy_s + (self._job.run_s() if self._job else 0.0),
            restarts=self._restarts,
            answers=self._answers,
        )

    async def keep(self) -> None:
        """Has a worker in the slot, one after the other, until ``close``."""
        while not self._closing.is_set():
            cause = await self._one_life()
            if self._closing.is_set():
                break
            if not self.first_ready.done():
                self.first_ready.set_exception(WorkerError(cause.detail))
                break
            self._restarts += 1
            self._post.events.restarted(self.index, cause.reason, cause.detail)
            await self._back_off(cause)

    async def close(self, grace_s: float) -> None:
        """Takes no more chunks, lets a running one finish within ``grace_s``, then kills."""
        self._closing.set()
        if self._job is not None:
            await asyncio.wait({self._job.finished}, timeout=grace_s)
        if self._worker is not None:
            self._worker.kill(_CLOSED)
        self._is_up.set()

    # One chunk

    async def _run(
        self, work: ChunkWork, *, each: bool, limit_s: float
    ) -> tuple[list[ChunkDone], Failure | None, str, float]:
        try:
            sequence = next(self._sequences)
            frame = encode_frame(Request(sequence, each, work))
            while (worker := await self._next_worker()) is not None:
                await self._renew(worker)
                if not worker.is_alive():
                    continue
                job = Job(
                    worker,
                    sequence,
                    inputs=len(work.payloads),
                    each=each,
                    limit_s=limit_s,
                    most_s=max(limit_s, self._post.timeout_s),
                )
                failure, detail = await self._outcome(job, frame)
                if not job.is_unread:
                    return job.done, failure, detail, job.run_s()
        except WorkerError as error:  # a chunk too large for a frame
            return [], Failure.CRASH, str(error), 0.0
        finally:
            self.release()
        return [], Failure.SHUTDOWN, "the pool is closed", 0.0

    async def _next_worker(self) -> WorkerProcess | None:
        """The slot's worker, or the one after it; None when the pool is closed."""
        while not self._closing.is_set():
            if (worker := self._live_worker()) is not None:
                return worker
            self._is_up.clear()
            await self._is_up.wait()
        return None

    async def _renew(self, worker: WorkerProcess) -> None:
        """Hands over what the worker doesn't hold yet, and waits until it has it, or is gone."""
        shelf = self._post.shelf
        files = [] if shelf.is_trying else shelf.missing(worker.held)
        if not files:
            return
        shelf.is_trying = True
        taken = worker.hand(files)
        first: list[asyncio.Future[Any]] = [taken, worker.gone]
        try:
            await asyncio.wait(first, timeout=START_S, return_when=asyncio.FIRST_COMPLETED)
            if taken.done():
                self._sort(
                    files, {(one.kind, one.name, one.version): one.text for one in taken.result()}
                )
            else:
                worker.kill(_TOO_LONG)
                shelf.died(files)
        finally:
            shelf.is_trying = False
            shelf.changed.set()
            if not taken.done():
                worker.kill(_ABANDONED)

    def _sort(self, files: list[ShelfFile], refused: dict[tuple[str, str, str], str]) -> None:
        """What was taken is proved; what was refused is put back on the shelf.

        Where other workers have it, this one goes on with the version before, and is asked no more:
        its results say so.
        """
        for file in files:
            why = refused.get((*file.reference, file.version))
            if why is None:
                self._post.shelf.proved([file])
            else:
                self._post.shelf.refused(file, why)

    async def _outcome(self, job: Job, frame: bytes) -> tuple[Failure | None, str]:
        self._job, self._state = job, "busy"
        self._post.watch.add(job.worker)
        job.worker.send(frame)
        try:
            return await job.finished
        finally:
            if job.finished.cancelled():
                job.worker.kill(_ABANDONED)
            job.close()
            self._post.watch.discard(job.worker)
            self._busy_s += job.run_s()
            self._job = None

    def _offer(self) -> None:
        if self.is_behind():
            self._post.shelf.changed.set()
        if self._live_worker() is not None:
            self._state = "idle"
            self._post.offer(self)

    def _live_worker(self) -> WorkerProcess | None:
        worker = self._worker
        return worker if worker and worker.is_ready() and worker.is_alive() else None

    def _heard(self, worker: WorkerProcess, reply: Reply) -> None:
        if self._job is None or self._job.worker is not worker:
            raise WorkerError("a worker sent a reply that nobody asked for")
        self._job.heard(reply)
        self._answers += 1
        if isinstance(reply, Answer):
            worker.note_memory(reply.private, reply.inherited)
        if self._job.finished.done() and worker.private > RECYCLE_SHARE * self._post.memory:
            worker.kill(Cause("recycle", Failure.MEMORY, f"{worker.private / 1e6:.0f} MB in use"))
        if isinstance(reply, Fault) and reply.failure is Failure.MEMORY:
            worker.kill(Cause("memory", Failure.MEMORY, reply.text))

    # One worker after the other

    async def _one_life(self) -> Cause:
        self._state = "starting"
        try:
            worker = await WorkerProcess.launch(
                self._post.body, f"geoweir-worker-{self.index}", self._post.warm, self._heard
            )
        except (OSError, EOFError) as error:
            return Cause("start", Failure.CRASH, f"no worker could be started: {error}")
        self._worker = worker
        if self._closing.is_set():
            worker.kill(_CLOSED)
        files = self._post.shelf.files()
        worker.hand(files)
        ending = asyncio.get_running_loop().create_task(worker.end(), name="worker end")
        first: list[asyncio.Future[Any]] = [worker.ready, ending]
        await asyncio.wait(first, timeout=START_S, return_when=asyncio.FIRST_COMPLETED)
        if worker.is_ready():
            self._post.shelf.proved(files)
            self._post.events.sandboxed(worker.sandbox)
            self._came_up()
        else:
            worker.kill(_TOO_SLOW)
        cause = await ending
        if not worker.is_ready():
            cause = worker.why_unfit(cause)
        self._went_down(cause)
        return cause

    def _came_up(self) -> None:
        self._backoff.ready()
        self._is_up.set()
        if not self.first_ready.done():
            self.first_ready.set_result(None)
        if not self._is_reserved:
            self._offer()

    def _went_down(self, cause: Cause) -> None:
        self._worker = None
        self._state = "starting"
        self._post.withdraw(self)
        if self._job is not None:
            self._job.lost(cause)

    async def _back_off(self, cause: Cause) -> None:
        if cause.reason not in {"crash", "start"}:
            return
        now = asyncio.get_running_loop().time()
        delay = self._backoff.died(now, was_ready=cause.reason == "crash")
        if delay:
            self._state = "backoff"
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), delay)
