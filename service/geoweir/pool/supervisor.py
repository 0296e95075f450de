"""The pool: a fixed number of slots, handed out one chunk at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from geoweir.core.spec import PoolSpec, WorkerSpec
from geoweir.errors import WorkerError
from geoweir.pool.forkserver import owed_s
from geoweir.pool.frames import Assignment, pack
from geoweir.pool.ran import Failure, Ran, RanEach, SlotStats
from geoweir.pool.shelf import Shelf
from geoweir.pool.slot import PoolEvents, Post, Slot
from geoweir.pool.watch import MemoryWatch

__all__ = ["Failure", "Pool", "PoolEvents", "Ran", "RanEach", "Slot", "SlotStats"]

CHAINS: Final = "geoweir.steps.handed:chains"
WARM_S: Final = 60.0  # for all workers to become ready
LEAVE_S: Final = 5.0  # for killed workers to be gone
#: For the process that workers are forked from to answer, which takes it milliseconds.
STUCK_S: Final = 3.0


class Pool:
    """Worker processes that run chunks and are replaced when they fail.

    A pool has no queue: who wants to run a chunk waits for an idle slot.

    Args:
        spec: the pool's size and bounds.
        worker: what workers are for.
        events: told what happens to workers.
        shelf: the layers and rasters of workers; ``close`` leaves it open.
        chains: names, as ``module:function``, what builds the chains of a worker; the module also
            has ``open_reference``.
    """

    def __init__(
        self,
        spec: PoolSpec,
        worker: WorkerSpec,
        *,
        events: PoolEvents,
        shelf: Shelf,
        chains: str = CHAINS,
    ) -> None:
        self._spec = spec
        self._shelf = shelf
        self._warm = chains.partition(":")[0]
        self._body = pack(Assignment(chains, worker, spec.memory, spec.is_sandboxed))
        self._events = events
        self._watch = MemoryWatch(spec.memory)
        self._slots: list[Slot] = []
        self._keepers: set[asyncio.Task[None]] = set()
        self._idle: deque[Slot] = deque()
        self._waiting: deque[asyncio.Future[Slot]] = deque()
        self._careful: deque[asyncio.Future[Slot]] = deque()
        self._renewing: asyncio.Task[None] | None = None
        self._is_closed = False

    async def start(self) -> None:
        """Returns when every slot has a worker that is ready.

        Raises:
            WorkerError: one could not become ready, and why.
        """
        try:
            await self._start()
        except BaseException:
            await self.close(0.0)
            raise

    async def idle(self, *, careful: bool = False) -> Slot:
        """Waits for an idle slot and reserves it, in the order of the calls.

        Who runs carefully does not get the last worker while the one that failed is being
        replaced, which takes a moment: everybody else would stand still.

        Use it with ``run`` or ``run_each``, which give it back, or give it back by ``release``.

        Raises:
            WorkerError: the pool is closed.
        """
        if self._is_closed:
            raise WorkerError("the pool is closed")
        if self._idle and not (careful and self._is_last(self._idle[0])):
            slot = self._idle.popleft()
            slot.reserve()
            return slot
        waiter: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()
        (self._careful if careful else self._waiting).append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                waiter.result().release()  # it came in the very moment of the cancellation
            raise

    async def close(self, grace_s: float) -> None:
        """Ends all workers: running chunks may finish within ``grace_s`` seconds.

        Chunks that don't end as ``shutdown``. Afterwards there is no process of a slot left.
        """
        self._is_closed = True
        self._idle.clear()
        for waiter in (*self._careful, *self._waiting):
            if not waiter.done():
                waiter.set_exception(WorkerError("the pool is closed"))
        self._careful.clear()
        self._waiting.clear()
        if self._renewing is not None:
            self._renewing.cancel()
        await asyncio.gather(*(slot.close(grace_s) for slot in self._slots))
        if self._keepers:
            _, stuck = await asyncio.wait(self._keepers, timeout=LEAVE_S)
            for keeper in stuck:
                keeper.cancel()
        self._watch.close()

    def stats(self) -> list[SlotStats]:
        """Every slot as it is now."""
        return [slot.stats() for slot in self._slots]

    def is_stuck(self) -> bool:
        """Whether there is no worker, and nobody who would make one.

        A worker that fails, is being replaced or has to wait for its replacement is none of that.
        """
        return owed_s() >= STUCK_S and not any(slot.has_worker() for slot in self._slots)

    async def _start(self) -> None:
        loop = asyncio.get_running_loop()
        post = Post(
            body=self._body,
            warm=self._warm,
            shelf=self._shelf,
            memory=self._spec.memory,
            timeout_s=self._spec.timeout_s,
            watch=self._watch,
            events=self._events,
            offer=self._offer,
            withdraw=self._withdraw,
        )
        self._slots = [Slot(index, post) for index in range(self._spec.workers)]
        self._keepers = {
            loop.create_task(slot.keep(), name=f"keeper of worker {slot.index}")
            for slot in self._slots
        }
        self._renewing = loop.create_task(self._renew(), name="files of idle workers")
        ready = [slot.first_ready for slot in self._slots]
        done, late = await asyncio.wait(ready, timeout=WARM_S, return_when=asyncio.FIRST_EXCEPTION)
        for first in done:
            first.result()
        if late:
            raise WorkerError(f"workers were not ready within {WARM_S:.0f} s")

    async def _renew(self) -> None:
        """Has idle workers take up what changed, so that the next chunk need not wait for it."""
        while True:
            await self._shelf.changed.wait()
            self._shelf.changed.clear()
            behind = next((slot for slot in self._idle if slot.is_behind()), None)
            if behind is not None and not self._shelf.is_trying:
                self._idle.remove(behind)
                behind.reserve()
                await behind.renew()

    def _offer(self, slot: Slot) -> None:
        if self._is_closed:
            return
        queues = (self._waiting,) if self._is_last(slot) else (self._careful, self._waiting)
        for queue in queues:
            while queue:
                waiter = queue.popleft()
                if not waiter.done():
                    slot.reserve()
                    waiter.set_result(slot)
                    return
        self._idle.append(slot)

    def _is_last(self, slot: Slot) -> bool:
        """Whether no other slot has a worker, and one will have it in a moment."""
        states = [other.state for other in self._slots if other is not slot]
        return "starting" in states and not {"idle", "busy"} & set(states)

    def _withdraw(self, slot: Slot) -> None:
        if slot in self._idle:
            self._idle.remove(slot)
