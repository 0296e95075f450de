"""One life of the service in a simulated world, from its start to its end or crash."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from random import Random
from types import SimpleNamespace
from typing import Any
from unittest import mock

from geoweir.app import heat
from geoweir.app import service as service_module
from geoweir.app.service import Service
from geoweir.app.world import World as RealWorld
from geoweir.core.clocks import Clocks
from geoweir.core.kept import Selection
from geoweir.errors import GeoweirError, StateError
from geoweir.mqtt.options import BrokerOptions
from geoweir.pool import slot
from geoweir.settings.values import Settings, SpillSettings, StateSettings
from geoweir.store.kept import Bounds
from geoweir.telemetry import lag
from simulation.clockwork import EPOCH, SimLoop, World
from simulation.disk import Disk, SimStore
from simulation.files import Folder, SimSpill
from simulation.network import Network
from simulation.oracle import Broken
from simulation.workers import Workers

__all__ = ["Life", "simulated"]

#: Inputs read and not yet taken, as ``docs/architecture.md`` promises.
_PENDING = 512


class _Ports(RealWorld):
    """What the service touches, simulated; inlets and outlet are the real ones."""

    def __init__(
        self,
        options: BrokerOptions,
        clocks: Clocks,
        disk: Disk,
        folder: Folder,
        brought_back: Callable[[str], None],
    ) -> None:
        super().__init__(options)
        self.clocks = clocks
        self.spilled: SimSpill | None = None
        self._disk = disk
        self._folder = folder
        self._brought_back = brought_back

    def spill(self, settings: SpillSettings, streams: Iterable[str], *, events: Any) -> SimSpill:
        self.spilled = SimSpill(
            self._folder,
            settings.limit,
            streams=streams,
            events=events,
            brought_back=self._brought_back,
        )
        return self.spilled

    def lives(self, state: StateSettings) -> None:
        """Deaths are the simulation's own."""

    def store(self, state: StateSettings, *, events: Any) -> SimStore:
        bounds = Bounds(
            messages=state.messages, size=state.size, age_s=state.age_s, states=state.states
        )
        return SimStore(self._disk, bounds, events=events, wall=self.clocks.wall)


class Life:
    """A service process.

    Attributes:
        is_over: it ended, one way or the other.
    """

    def __init__(
        self,
        world: World,
        seed: str,
        *,
        settings: Settings,
        network: Network,
        disk: Disk,
        folder: Folder,
        brought_back: Callable[[str], None],
        workers: Workers,
    ) -> None:
        self.is_over = False
        self._world = world
        self._settings = settings
        self._network = network
        self._disk = disk
        self._folder = folder
        self._brought_back = brought_back
        self._ports: _Ports | None = None
        self._workers = workers
        self._seed = seed
        self._is_ready = False
        self._faults: list[BaseException] = []
        self._retrying: asyncio.Task[None] | None = None
        self._service: Service | None = None
        self._stop: asyncio.Event | None = None
        self._loop = SimLoop(
            world, Random(f"{seed}:turns"), connect=network.connect, on_turn=self._check
        )
        self._loop.set_exception_handler(self._unhandled)

    def run(self) -> None:
        """Runs until the service ends or crashes; raises what it broke."""
        random.seed(f"{self._seed}:jitter")
        with mock.patch.object(slot, "WorkerProcess", self._workers):
            try:
                self._loop.run_until_complete(self._main())
            except Exception as error:
                if self._faults:
                    raise self._faults[0] from None
                if not self._loop.is_ghost:
                    raise Broken(f"the service failed: {_innermost(error)!r}") from error
            finally:
                self.is_over = True
                self._loop.crash()
                self._loop.unwind()
                self._folder.close_all()
        if self._faults:
            raise self._faults[0]

    def crash(self) -> None:
        """Kills it: everything in memory is gone."""
        if self.is_over or self._loop.is_ghost:
            return
        self._world.note("the service is killed")
        self._loop.crash()
        self._disk.crash()
        if self._ports is not None and self._ports.spilled is not None:
            self._ports.spilled.die()
            self._folder.crash()
        for connection in list(self._network.connections):
            connection.die()
        self._network.connections.clear()

    def end(self) -> None:
        """Asks it to end, as SIGTERM does."""
        if self._stop is not None and not self.is_over and not self._loop.is_ghost:
            self._world.note("the service is asked to end")
            self._stop.set()

    def retry(self) -> bool:
        """Sends everything that is kept through again, as an operator does; whether it lives."""
        service = self._service
        if service is None or self.is_over or self._loop.is_ghost or not self._is_ready:
            return False
        self._world.note("kept inputs are retried")
        # As a request over HTTP does: its task is none of the service's stages.
        self._retrying = self._loop.create_task(_retried(service), name="retry")
        return True

    def is_idle(self) -> bool:
        """Whether it is ready, and holds nothing."""
        return (
            self._is_ready and self._service is not None and not sum(self._service.held().values())
        )

    async def _main(self) -> None:
        clocks = Clocks(monotonic=self._loop.time, wall=lambda: EPOCH + self._loop.time())
        options = BrokerOptions(
            host="broker",
            port=1,
            keepalive_s=5,
            timeout_s=3.0,
            protocol="5",
            session_expiry_s=int(self._settings.mqtt.session_expiry_s),
        )
        self._stop = asyncio.Event()
        self._ports = _Ports(options, clocks, self._disk, self._folder, self._brought_back)
        self._service = Service(
            self._settings,
            options,
            waits_for_broker=True,
            show=_face,
            world=self._ports,
        )
        self._world.note("the service starts")
        try:
            await self._service.run(self._stop, self._ready)
        except GeoweirError as error:
            if self._is_ready:
                raise
            # As at a process: it ends with a line, and whoever supervises it starts it again.
            why = str(error).replace(str(self._folder.path), "SPILL")  # a path of this run alone
            self._world.note(f"the service can't start: {why}")
        self._world.note("the service has ended")

    def _ready(self, _: str) -> None:
        self._is_ready = True
        self._world.note("the service is ready")

    # What must hold at every moment.

    def _check(self) -> None:
        service = self._service
        if service is None or self._faults:
            return
        try:
            _hold_to_bounds(service, self._settings)
        except Exception as error:  # noqa: BLE001 - whatever it is, the run has found it
            self._found(error)

    def _unhandled(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self._found(error or Broken(str(context["message"])))

    def _found(self, error: BaseException) -> None:
        if not self._loop.is_ghost:
            self._faults.append(error)
            self._loop.stop()


async def _retried(service: Service) -> None:
    with contextlib.suppress(StateError):  # who asked is told so
        await service._flow.retries.retry(Selection())


def _hold_to_bounds(service: Service, settings: Settings) -> None:
    """Broken where the account or a bound does not hold now."""
    flow = service._flow
    if (lost := flow.account.unaccounted(flow.held())) != 0:
        raise Broken(f"{lost} inputs are unaccounted for")
    if flow.weir.qsize() > settings.queue_limit:
        raise Broken(f"the queue holds {flow.weir.qsize()}")
    for inlet in service._inlets.values():
        if len(inlet._mids) > settings.mqtt.receive_window:
            raise Broken(f"{inlet!r} is over its window")
        if inlet._pending > _PENDING:
            raise Broken(f"{inlet!r} holds {inlet._pending} that nobody took")


def _innermost(error: BaseException) -> BaseException:
    """What a group of tasks failed of."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


@contextlib.asynccontextmanager
async def _face(_: object) -> AsyncIterator[Any]:
    yield SimpleNamespace(url="http://simulated")


class _NoWatch:
    """A gateway without sensors."""

    latest = None
    sensor = None

    def __init__(self, *_: object) -> None:
        pass

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass


@contextlib.contextmanager
def simulated(world: World) -> Iterator[None]:
    """Within it no clock is real, whoever asks; the garbage collector is left alone."""

    def still() -> None:
        """What the collector does here."""

    def monotonic() -> float:
        return world.now

    def wall() -> float:
        return EPOCH + world.now

    with (
        mock.patch.object(time, "time", wall),
        mock.patch.object(time, "monotonic", monotonic),
        mock.patch.object(heat, "Watch", _NoWatch),
        mock.patch.object(lag, "_PERIOD_S", 1.0),
        mock.patch.object(service_module, "gc", SimpleNamespace(collect=still, freeze=still)),
    ):
        gc.disable()
        state = random.getstate()
        try:
            yield
        finally:
            random.setstate(state)
            gc.enable()
