"""The composition root: builds the stages, wires them, runs them, drains them."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from importlib.metadata import version
from itertools import chain
from typing import Any, Final

import orjson

from geoweir.app.reporting import Reporting
from geoweir.app.status import ServiceStatus
from geoweir.codec.light import LightReader
from geoweir.core.account import Account
from geoweir.core.backlog import Backlog
from geoweir.core.clocks import Clocks
from geoweir.core.lane import DURABLE, LaneClosed, LaneOpened
from geoweir.core.outcome import Outcome
from geoweir.core.parcel import Parcel
from geoweir.core.spec import StreamSpec, WorkerSpec
from geoweir.core.turns import WEIGHTS
from geoweir.errors import BrokerError, GeoweirError
from geoweir.mqtt.inlet import MqttInlet
from geoweir.mqtt.link import AuthenticationError
from geoweir.mqtt.options import BrokerOptions
from geoweir.mqtt.outlet import MqttOutlet
from geoweir.pool.supervisor import Pool
from geoweir.ports import Outgoing
from geoweir.settings.values import Settings
from geoweir.stages.delivery import Delivery
from geoweir.stages.dispatch import Dispatch
from geoweir.stages.intake import Intake
from geoweir.stages.ordering import Ordering
from geoweir.stages.settlement import Settlement
from geoweir.stages.weir import Weir
from geoweir.telemetry import events
from geoweir.telemetry.lag import LagMeter
from geoweir.telemetry.metrics import Metrics
from geoweir.telemetry.observers import Observers
from geoweir.web.server import HttpServer
from geoweir.web.status import Face, Status
from geoweir.web.tap import Tap

__all__ = ["Service"]

#: How long a start waits for a broker that isn't there.
_FIRST_CONTACT_S: Final = 5.0
_HEALTH_EVERY_S: Final = 60.0
#: Shares of ``shutdown_grace``: for finishing what is in hand, and then for what was cut short.
_FINISHING: Final = 0.75
_CUTTING: Final = 0.1
_GOOD_BYE_S: Final = 0.5
_CLOCKS: Final = Clocks(monotonic=time.monotonic, wall=time.time)


class Service:
    """One running geoweir.

    Args:
        settings: frozen, checked values.
        options: how to reach the broker.
        notice: plain text for the status page.
        waits_for_broker: keep trying when the broker isn't there at the start.
        show: opens where the status is shown, other than HTTP at ``http.listen``.
    """

    def __init__(
        self,
        settings: Settings,
        options: BrokerOptions,
        *,
        notice: str = "",
        waits_for_broker: bool = False,
        show: Callable[[Status], AbstractAsyncContextManager[Face]] | None = None,
    ) -> None:
        self._settings = settings
        self._options = options
        self._waits_for_broker = waits_for_broker
        self._show = show or self._serve_http
        self._version = version("geoweir")
        names = [stream.name for stream in settings.streams]
        self._metrics = Metrics(
            streams={s.name: [step.name for step in s.steps] for s in settings.streams},
            layers=[layer.name for layer in settings.layers],
            version=self._version,
        )
        self._reporting = Reporting(self._metrics, options.name, names)
        self._account = Account(names)
        self._lag = LagMeter(self._metrics.lag)
        self._readers = {stream.name: LightReader(stream) for stream in settings.streams}
        self._observers = Observers(names, identify=self._identify)
        self._tap = Tap(self._observers)
        self._pool = Pool(
            settings.pool,
            WorkerSpec(
                streams=settings.streams,
                layers=settings.layers,
                rasters=settings.rasters,
                module_path=settings.module_path,
            ),
            events=self._reporting,
        )
        self._tasks: asyncio.TaskGroup | None = None
        self._spawned: set[asyncio.Task[None]] = set()
        self._weir = Weir(
            Backlog(
                {stream.name: stream.priority for stream in settings.streams},
                chunk=settings.pool.chunk,
                chunk_bytes=settings.pool.chunk_bytes,
            ),
            limit=settings.queue_limit,
            piece=settings.pool.chunk,
            clock=time.monotonic,
        )
        self._since = time.time()
        self._outlet = MqttOutlet(
            client_id=f"{settings.mqtt.client_id}-out",
            options=options,
            weights={stream.name: WEIGHTS[stream.priority] for stream in settings.streams},
            greeting=lambda: self._state_message(self._status.state),
            will=self._state_message("offline"),
            on_link=partial(self._reporting.link, "out", ""),
        )
        self._inlets = {stream.name: self._make_inlet(stream) for stream in settings.streams}
        self._settlement = Settlement(
            account=self._account,
            inlets=self._inlets,
            any_order=settings.mqtt.ack_order == "any",
            clock=time.monotonic,
            on_settled=self._reporting.settled,
        )
        self._delivery = Delivery(
            streams=settings.streams,
            account=self._account,
            outlet=self._outlet,
            settle=self._settle,
            spawn=self._spawn,
            identify=self._identify,
            on_refused=self._reporting.refused,
        )
        self._ordering = Ordering(names, self._delivery.deliver)
        self._dispatch = Dispatch(
            streams=settings.streams,
            spec=settings.pool,
            pool=self._pool,
            filled=self._weir.filled,
            take=self._weir.get_nowait,
            top_up=self._weir.top_up,
            account=self._account,
            start=self._ordering.start,
            finish=self._ordering.finish,
            room=self._delivery.room,
            identify=self._identify,
            spawn=self._spawn,
            events=self._reporting,
            is_watched=self._observers.is_watched,
            clocks=_CLOCKS,
        )
        self._intakes = [self._make_intake(stream) for stream in settings.streams]
        self._status = ServiceStatus(
            settings=settings,
            version=self._version,
            account=self._account,
            metrics=self._metrics,
            pool=self._pool,
            lag=self._lag,
            reporting=self._reporting,
            held=self.held,
            queued=self._weir.qsize,
            watchers=self._observers.__len__,
            notice=notice,
        )

    # What the outside may ask.

    def held(self) -> dict[str, int]:
        """Inputs that the stages say they hold, per stream, counted by themselves."""
        held = dict.fromkeys(self._account.totals, 0)
        for parcel in self._parcels():
            held[parcel.ledger.stream] += parcel.held
        return held

    def account(self) -> dict[str, Any]:
        """The account as ``GET /api/account`` has it."""
        return self._status.account()

    # The life of the service.

    async def run(self, stop: asyncio.Event, on_ready: Callable[[str], None]) -> None:
        """Runs until ``stop``, then drains.

        Args:
            stop: set by whoever wants the service to end.
            on_ready: called once with the HTTP address when everything stands.

        Raises:
            GeoweirError: the service can't start; one clear line.
        """
        try:
            await self._pool.start()
            # What start-up made lives as long as we do: the collector need not look at it again.
            gc.collect()
            gc.freeze()
            async with self._show(self._status) as face:
                await self._first_contact()
                await self._run_stages(stop, on_ready, face.url)
        finally:
            await self._pool.close(0.0)

    async def _first_contact(self) -> None:
        """Knocks at the broker, so that a wrong address or password ends the start clearly."""
        give_up = time.monotonic() + _FIRST_CONTACT_S
        while True:
            try:
                await self._outlet.connect_once()
            except AuthenticationError:
                raise
            except BrokerError as error:
                if self._waits_for_broker:
                    return
                if time.monotonic() > give_up:
                    advice = "Start the broker, correct mqtt.url, or run with --wait-for-broker."
                    raise BrokerError(f"{error}. {advice}") from None
                await asyncio.sleep(0.25)
            else:
                return

    async def _run_stages(
        self, stop: asyncio.Event, on_ready: Callable[[str], None], url: str
    ) -> None:
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            self._status.state = "online"
            connections = [
                tasks.create_task(self._outlet.run(), name="outlet"),
                *(
                    tasks.create_task(inlet.run(), name=f"inlet-{name}")
                    for name, inlet in self._inlets.items()
                ),
            ]
            feeders = [
                tasks.create_task(self._dispatch.run(), name="dispatch"),
                *(tasks.create_task(intake.run(), name="intake") for intake in self._intakes),
            ]
            keepers = [
                tasks.create_task(self._lag.run(), name="lag"),
                tasks.create_task(self._reporting.run(), name="reporting"),
                tasks.create_task(self._report_health(url), name="health"),
                tasks.create_task(self._announce(on_ready, url), name="announce"),
            ]
            await stop.wait()
            await self._drain(feeders)
            self._tap.close("the service is ending")
            for task in keepers:
                task.cancel()
            await self._leave(connections)
            # Whoever still waits for an answer of the broker waits in vain: its inputs come again.
            for task in self._spawned:
                task.cancel()

    async def _announce(self, on_ready: Callable[[str], None], url: str) -> None:
        while not self._reporting.is_linked():
            self._reporting.changed.clear()
            await self._reporting.changed.wait()
        self._reporting.emit(events.ServiceReady(version=self._version, url=url))
        on_ready(url)

    async def _report_health(self, url: str) -> None:
        topic = f"geoweir/health/{self._settings.mqtt.client_id}"
        while True:
            health = {
                "version": self._version,
                "http": url,
                "account": self.account(),
                "memory": {"workers": [slot.private_bytes for slot in self._pool.stats()]},
                "loop_lag_p99_s": round(self._lag.p99_s(), 6),
            }
            await self._outlet.send(
                [Outgoing(topic, orjson.dumps(health), 1, True, "application/json")]  # noqa: FBT003
            )
            await asyncio.sleep(_HEALTH_EVERY_S)

    # The end of the service.

    async def _drain(self, feeders: list[asyncio.Task[None]]) -> None:
        """Reads no more, finishes what is in hand, and gives the rest back or a name."""
        grace_s = self._settings.shutdown_grace_s
        self._status.state = "draining"
        self._reporting.emit(
            events.ServiceDraining(
                why="asked to stop", in_flight=sum(self.held().values()), grace_s=grace_s
            )
        )
        self._outlet.send([self._state_message("draining")])
        for inlet in self._inlets.values():
            await inlet.close()
        is_empty = await self._until_empty(grace_s * _FINISHING)
        for task in feeders:
            task.cancel()
        await asyncio.wait(feeders)
        if not is_empty:
            await self._cut_short(grace_s * _CUTTING)
        self._reporting.flush()
        held = self.held()
        self._reporting.emit(
            events.ServiceStopped(
                unaccounted=self._account.unaccounted(held), in_flight=sum(held.values())
            )
        )

    async def _until_empty(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while sum(self.held().values()):
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.01)
        return True

    async def _cut_short(self, seconds: float) -> None:
        """Leaves durable inputs to the broker, and reconciles those that would not come again.

        What is on its way to the output broker is left alone: an answer may still come.
        """
        waiting = [
            *chain(*(intake.parcels() for intake in self._intakes)),
            *self._weir.parcels(),
            *self._dispatch.waiting(),
        ]
        for parcel in {*waiting, *self._dispatch.parcels(), *self._ordering.parcels()}:
            durable = [
                position
                for position, flags, is_open in zip(
                    parcel.positions, parcel.flags, parcel.open, strict=True
                )
                if flags & DURABLE and is_open
            ]
            self._account.give_back(parcel.ledger, durable)
            parcel.void()
        for parcel in waiting:
            left = parcel.without_released()
            if len(left):
                self._delivery.deliver(self._dispatch.reconcile_waiting(left))
                parcel.release(range(len(parcel)))
        await self._pool.close(0.0)
        await self._until_empty(seconds)

    async def _leave(self, connections: list[asyncio.Task[None]]) -> None:
        """Says good-bye, lets the acknowledgements out, and ends the connections."""
        self._reporting.is_leaving = True
        self._outlet.send([self._state_message("offline")])
        for inlet in self._inlets.values():
            await inlet.disconnect()
        try:
            async with asyncio.timeout(_GOOD_BYE_S):
                await self._outlet.flushed()
        except TimeoutError:
            pass  # the broker is away: its last will says offline
        await self._outlet.disconnect()
        _, late = await asyncio.wait(connections, timeout=_GOOD_BYE_S)
        for task in late:
            task.cancel()

    # Wiring.

    def _serve_http(self, status: Status) -> HttpServer:
        http = self._settings.http
        return HttpServer(http.host, http.port, status, tap=self._tap, token=http.token)

    def _spawn(self, work: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        if self._tasks is None:
            raise GeoweirError("the service does not run")
        task = self._tasks.create_task(work, name=name)
        self._spawned.add(task)
        task.add_done_callback(self._spawned.discard)
        return task

    def _parcels(self) -> Iterator[Parcel]:
        return chain(
            *(intake.parcels() for intake in self._intakes),
            self._weir.parcels(),
            self._dispatch.parcels(),
            self._ordering.parcels(),
            self._delivery.parcels(),
        )

    def _settle(
        self, parcel: Parcel, indices: Sequence[int], outcome: Outcome, reason: str
    ) -> None:
        """Settles, and shows to whoever watches what is settled."""
        if self._observers.is_watched(parcel.ledger.stream):
            self._observers.show(parcel, indices, outcome, reason)
        self._settlement.settle(parcel, indices, outcome, reason)

    def _void(self, lane: str) -> None:
        """A lane resumed: what stages hold of its ended epochs comes again."""
        for parcel in self._parcels():
            if parcel.ledger.lane == lane and parcel.ledger.is_closed:
                parcel.void()

    def _lane(self, stream: str, event: LaneOpened | LaneClosed) -> None:
        self._reporting.lane(stream, event, self._account.totals[stream].returned)

    def _identify(self, stream: str, payload: bytes, address: str) -> list[str]:
        return self._readers[stream].ids(payload, address)

    def _make_inlet(self, stream: StreamSpec) -> MqttInlet:
        mqtt = self._settings.mqtt
        return MqttInlet(
            lane=stream.name,
            client_id=f"{mqtt.client_id}-{stream.name}",
            options=self._options,
            filters=stream.subscribe,
            qos=stream.qos,
            window=mqtt.receive_window,
            window_bytes=mqtt.receive_bytes,
            on_link=partial(self._reporting.link, "in", stream.name),
            on_paused=lambda paused: self._reporting.paused(stream.name, paused=paused),
        )

    def _make_intake(self, stream: StreamSpec) -> Intake:
        return Intake(
            spec=stream,
            inlet=self._inlets[stream.name],
            account=self._account,
            put=self._weir.put,
            piece=self._weir.piece,
            deliver=self._delivery.deliver,
            settle=self._settle,
            void=self._void,
            on_received=lambda name, _: self._reporting.received(name, time.time()),
            on_lane=self._lane,
            clocks=_CLOCKS,
        )

    def _state_message(self, state: str) -> Outgoing:
        body = {"state": state, "version": self._version, "since": self._since}
        return Outgoing(
            f"geoweir/status/{self._settings.mqtt.client_id}",
            orjson.dumps(body),
            qos=1,
            retain=True,
            content_type="application/json",
        )
