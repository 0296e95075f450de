"""Simulated time: a clock with events of the world, and event loops that live on it.

The world (broker, network, disk, faults) schedules plain functions. A loop belongs to one life of
the service: when the life crashes, the loop becomes a ghost, whose tasks are unwound without the
world noticing, and the world goes on to the next life.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

__all__ = ["SimLoop", "Stalled", "World"]

#: Unix seconds at the start of each simulation.
EPOCH = 1_790_000_000.0
_GHOST_TURNS = 5_000


class Stalled(Exception):  # noqa: N818 - a state of the simulation
    """Nothing will ever happen any more."""


class World:
    """The clock, and what is going to happen.

    Attributes:
        now: seconds since the simulation began.
        trace: what happened, as lines; see ``note``.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.trace: list[str] = []
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def note(self, text: str) -> None:
        """Adds a line to the trace."""
        self.trace.append(f"{self.now:11.6f} {text}")

    def at(self, when: float, run: Callable[[], None]) -> None:
        """Has something happen at a moment, in the order of the calls for equal moments."""
        self._count += 1
        heapq.heappush(self._events, (max(when, self.now), self._count, run))

    def after(self, seconds: float, run: Callable[[], None]) -> None:
        """Has something happen in so many seconds."""
        self.at(self.now + seconds, run)

    def next(self) -> float:
        """When the next event is due; infinity where there is none."""
        return self._events[0][0] if self._events else math.inf

    def due(self) -> list[Callable[[], None]]:
        """What is due now, taken out."""
        found = []
        while self._events and self._events[0][0] <= self.now:
            found.append(heapq.heappop(self._events)[2])
        return found

    def pass_until(self, when: float) -> None:
        """Lets time pass while no service lives."""
        while self.next() <= when:
            self.now = max(self.now, self.next())
            for run in self.due():
                run()
        self.now = max(self.now, when)


class SimLoop(asyncio.BaseEventLoop):
    """An event loop that never waits: where nothing is ready, the clock jumps.

    Ready callbacks keep asyncio's promised order; the seed decides what a turn costs, and so how
    timers, arrivals and turns interleave.

    Args:
        world: whose time it is.
        rng: decides how long each turn takes.
        connect: what stands in for ``create_connection``.
        on_turn: called once a turn, while nothing else runs.
    """

    def __init__(
        self,
        world: World,
        rng: Random,
        *,
        connect: Callable[[SimLoop, Callable[[], asyncio.BufferedProtocol]], Awaitable[Any]],
        on_turn: Callable[[], None],
    ) -> None:
        super().__init__()
        self._world = world
        self._rng = rng
        self._connect = connect
        self._on_turn = on_turn
        self._selector = self
        self._ghost_now = 0.0
        self._ghost_turns = 0
        self.is_ghost = False

    def time(self) -> float:
        """The clock's time, or a ghost's own."""
        return self._ghost_now if self.is_ghost else self._world.now

    def crash(self) -> None:
        """Ends the life at this instant: nothing that it does from here on reaches the world."""
        if not self.is_ghost:
            self._ghost_now = self._world.now
            self.is_ghost = True
            if self.is_running():
                self.stop()

    def unwind(self) -> None:
        """Ends a ghost's tasks, so that nothing of it is left."""
        self.call_soon(self.stop)  # what a life that was stopped had ready is over
        self.run_forever()
        tasks = asyncio.all_tasks(self)
        self.set_exception_handler(lambda *_: None)
        for task in tasks:
            task.cancel()
        if tasks:
            self.run_until_complete(asyncio.wait(tasks))
        self.close()

    # What BaseEventLoop asks of whoever completes it.

    def select(self, timeout: float | None) -> list[Callable[[], None]]:
        """Stands in for a selector: lets the clock go on to whatever comes first."""
        if self.is_ghost:
            self._ghost_turns += 1
            if timeout is None or self._ghost_turns > _GHOST_TURNS:
                raise Stalled("a ghost does not end")
            self._ghost_now += timeout
            return []
        world = self._world
        self._on_turn()
        world.now += self._rng.uniform(5e-6, 80e-6)
        if timeout != 0:
            until = math.inf if timeout is None else world.now + timeout
            first = min(until, world.next())
            if first == math.inf:
                raise Stalled("nothing is ready, and nothing will be")
            world.now = max(world.now, first)
        return world.due()

    def _process_events(self, event_list: list[Callable[[], None]]) -> None:
        for run in event_list:
            self.call_soon(run)

    def _write_to_self(self) -> None:
        """There is no other thread."""

    async def create_connection(self, protocol_factory: Any, *_: Any, **__: Any) -> Any:
        """Connects to the simulated broker, whatever the address."""
        return await self._connect(self, protocol_factory)

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]
        """Runs it here and now."""
        del executor
        future = self.create_future()
        future.set_result(func(*args))
        return future
