"""The composition root: builds the stages, wires them, runs them, drains them."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

import orjson

from geoweir.app.certificates import Certificates, Renewable
from geoweir.app.flow import Flow
from geoweir.app.heat import Heat
from geoweir.app.layers.registry import Layers
from geoweir.app.reporting import Reporting
from geoweir.app.status import ServiceStatus
from geoweir.app.world import World
from geoweir.core.account import EarlierTotals
from geoweir.core.spec import LayerSpec, StreamSpec, WorkerSpec
from geoweir.core.turns import WEIGHTS
from geoweir.errors import BrokerError, GeoweirError
from geoweir.mqtt.inlet import MqttInlet
from geoweir.mqtt.link import AuthenticationError, NotYetValidError
from geoweir.mqtt.options import BrokerOptions
from geoweir.ports import Outgoing
from geoweir.settings.values import Settings
from geoweir.telemetry import events
from geoweir.telemetry.lag import LagMeter
from geoweir.telemetry.metrics import Metrics
from geoweir.web.kept import KeptPages
from geoweir.web.server import HttpServer
from geoweir.web.status import Face, Status
from geoweir.web.tap import Tap

if TYPE_CHECKING:
    from geoweir.app.staging import Staging

__all__ = ["Service"]

#: How long a start waits for a broker that isn't there.
_FIRST_CONTACT_S: Final = 5.0
_HEALTH_EVERY_S: Final = 60.0
#: How long the first inputs wait for what the broker retains of live layers.
_FIRST_FENCES_S: Final = 8.0
#: Messages of a live layer that are on their way at once, and bytes of them.
_FENCE_WINDOW: Final = 1000
_FENCE_BYTES: Final = 32_000_000
#: Shares of ``shutdown_grace``: for finishing what is in hand, and then for what was cut short.
_FINISHING: Final = 0.75
_CUTTING: Final = 0.1
_GOOD_BYE_S: Final = 0.5


class Service:
    """One running geoweir.

    Args:
        settings: frozen, checked values.
        options: how to reach the broker.
        notice: plain text for the status page.
        waits_for_broker: keep trying when the broker isn't there at the start.
        show: opens where the status is shown, other than HTTP at ``http.listen``.
        world: what it touches, other than the real one.
        earlier: the account's totals, where this service had another configuration before.
        staging: where set, its pages are served.
    """

    def __init__(
        self,
        settings: Settings,
        options: BrokerOptions,
        *,
        notice: str = "",
        waits_for_broker: bool = False,
        show: Callable[[Status], AbstractAsyncContextManager[Face]] | None = None,
        world: World | None = None,
        earlier: Mapping[str, EarlierTotals] | None = None,
        staging: Staging | None = None,
    ) -> None:
        self._staging = staging
        self._settings = settings
        self._world = world or World(options)
        self._clocks = self._world.clocks
        self._waits_for_broker = waits_for_broker
        self._show = show or self._serve_http
        self._version = version("geoweir")
        self._tasks: asyncio.TaskGroup | None = None
        self._spawned: set[asyncio.Task[None]] = set()
        self._since = self._clocks.wall()
        self._layer_inlets: list[MqttInlet] = []
        live = {spec.name: f"layer:{spec.name}" for spec in settings.layers if spec.is_live}
        self._metrics = Metrics(
            streams={s.name: [step.name for step in s.steps] for s in settings.streams},
            references=[
                *(layer.reference for layer in settings.layers),
                *(raster.reference for raster in settings.rasters),
            ],
            live=live,
            version=self._version,
        )
        self._reporting = Reporting(
            self._metrics,
            self._world.broker,
            [*(stream.name for stream in settings.streams), *live.values()],
        )
        self._lag = LagMeter(self._metrics.lag)
        self._layers = Layers(
            settings.layers,
            settings.rasters,
            settings.streams,
            emit=self._reporting.emit,
            send=self._send_aside,
            make_inlet=self._make_layer_inlet,
        )
        self._pool = self._world.pool(
            settings.pool,
            WorkerSpec(
                streams=settings.streams,
                layers=settings.layers,
                rasters=settings.rasters,
                module_path=settings.module_path,
                room=None if settings.memory is None else settings.memory.room,
            ),
            events=self._reporting,
            shelf=self._layers.shelf,
        )
        self._outlet = self._world.outlet(
            client_id=f"{settings.mqtt.client_id}-out",
            weights={stream.name: WEIGHTS[stream.priority] for stream in settings.streams},
            greeting=lambda: self._state_message(self._status.state),
            will=self._state_message("offline"),
            reporting=self._reporting,
        )
        self._inlets = {stream.name: self._make_inlet(stream) for stream in settings.streams}
        self._store = self._world.store(settings.state, events=self._reporting)
        self._spill = (
            None
            if settings.spill is None
            else self._world.spill(settings.spill, self._inlets, events=self._reporting)
        )
        self._lives = self._world.lives(settings.state)
        self._flow = Flow(
            settings,
            clocks=self._clocks,
            inlets=self._inlets,
            outlet=self._outlet,
            pool=self._pool,
            store=self._store,
            spill=self._spill,
            lives=self._lives,
            reporting=self._reporting,
            spawn=self._spawn,
        )
        self._tap = Tap(self._flow.observers)
        self._heat = Heat(
            settings.thermal,
            work=self._flow.dispatch,
            slots=self._pool.stats,
            emit=self._reporting.emit,
        )
        self._certificates = Certificates(
            options.tls,
            connections=self._connections,
            broker_ends=lambda: self._outlet.certificate_ends,
            emit=self._reporting.emit,
        )
        self._status = ServiceStatus(
            settings=settings,
            version=self._version,
            metrics=self._metrics,
            flow=self._flow,
            pool=self._pool,
            lag=self._lag,
            reporting=self._reporting,
            gateway=self._heat.reading,
            certificates=self._certificates.ends,
            store=self._store,
            spill=self._spill,
            notice=notice,
        )

        self.kept = KeptPages(
            self._store, self._flow.retries.retry, lambda: self._status.now()["store"]
        )

        self._why = "asked to stop"
        if earlier is not None:
            self._flow.account.go_on_from(earlier)
            self._reporting.emit(events.Reloaded())

    # What the outside may ask.

    def held(self) -> dict[str, int]:
        """Inputs that the stages say they hold, per stream, counted by themselves."""
        return self._flow.held()

    @property
    def status(self) -> ServiceStatus:
        """What pages and watchdogs are told."""
        return self._status

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
        if self._lives is not None and (self._lives.short or self._lives.deadly):
            self._reporting.emit(
                events.LivesBefore(short=self._lives.short, deadly=len(self._lives.deadly))
            )
        try:
            async with self._store, self._spill or nullcontext():
                await self._run(stop, on_ready)
        except GeoweirError:
            self._end_life()  # an end with a name is no crash
            raise
        self._end_life()

    async def _run(self, stop: asyncio.Event, on_ready: Callable[[str], None]) -> None:
        try:
            await self._flow.restore()
            await self._layers.start()
            await self._pool.start()
            # What start-up made lives as long as we do: the collector need not look at it again.
            gc.collect()
            gc.freeze()
            async with self._show(self._status) as face:
                await self._first_contact()
                await self._run_stages(stop, on_ready, face.url)
        finally:
            await self._pool.close(0.0)
            self._layers.close()

    def _end_life(self) -> None:
        if self._lives is not None:
            self._lives.end()

    def leave_for(self, why: str) -> None:
        """What the log says of the end that comes now."""
        self._why = why

    def earlier_totals(self) -> dict[str, EarlierTotals]:
        """What the account that follows counts on from, after the end."""
        return self._flow.account.earlier_totals(self.held())

    def refuse_configuration(self, why: str) -> None:
        """A changed configuration can't be taken up: this one goes on."""
        self._reporting.emit(events.ReloadRefused(why=why))

    def keep_configuration(self) -> None:
        """The configuration says what it said."""
        self._reporting.emit(events.ReloadUnneeded())

    def look_at_layers(self) -> None:
        """Looks at the files of layers now."""
        self._layers.look_now()

    async def _first_contact(self) -> None:
        """Knocks at the broker, so that a wrong address or password ends the start clearly."""
        give_up = self._clocks.monotonic() + _FIRST_CONTACT_S
        while True:
            try:
                await self._outlet.connect_once()
            except AuthenticationError:
                raise
            except NotYetValidError:
                return  # a clock that is wrong is set in the end: the connections go on trying
            except BrokerError as error:
                if self._waits_for_broker:
                    return
                if self._clocks.monotonic() > give_up:
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
            connections = [tasks.create_task(self._outlet.run(), name="outlet")]
            keepers = [
                tasks.create_task(self._layers.run(), name="layers"),
                tasks.create_task(self._lag.run(), name="lag"),
                tasks.create_task(self._live(), name="lives"),
                tasks.create_task(self._certificates.run(), name="certificates"),
            ]
            await self._first_fences(stop)
            connections += [
                *(
                    tasks.create_task(inlet.run(), name=f"inlet-{name}")
                    for name, inlet in self._inlets.items()
                ),
            ]
            feeders = self._flow.start(tasks)
            keepers += [
                tasks.create_task(self._reporting.run(), name="reporting"),
                tasks.create_task(self._report_health(url), name="health"),
                tasks.create_task(self._announce(on_ready, url), name="announce"),
            ]
            heat = tasks.create_task(self._heat.run(), name="heat")
            await stop.wait()
            heat.cancel()  # the end has no time for pauses
            await self._drain(feeders)
            self._tap.close("the service is ending")
            for task in keepers:
                task.cancel()
            await self._leave(connections)
            # Whoever still waits for an answer of the broker waits in vain: its inputs come again.
            for task in self._spawned:
                task.cancel()

    async def _live(self) -> None:
        """Says every second that we are there: how long a life was decides what a death means."""
        while self._lives is not None:
            self._lives.lives(self._clocks.wall())
            await asyncio.sleep(1.0)

    async def _first_fences(self, stop: asyncio.Event) -> None:
        """Waits, not for ever, so that the first inputs don't miss the fences."""
        waits = [
            asyncio.ensure_future(self._layers.first_sets()),
            asyncio.ensure_future(stop.wait()),
        ]
        await asyncio.wait(waits, timeout=_FIRST_FENCES_S, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

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
                why=self._why, in_flight=sum(self.held().values()), grace_s=grace_s
            )
        )
        self._outlet.send([self._state_message("draining")])
        await self._flow.close()
        is_empty = await self._flow.until_empty(grace_s * _FINISHING)
        for task in feeders:
            task.cancel()
        await asyncio.wait(feeders)
        if not is_empty:
            self._flow.give_back()
            await self._pool.close(0.0)
            await self._flow.until_empty(grace_s * _CUTTING)
        await self._flow.saved()
        self._reporting.flush()
        held = self.held()
        self._reporting.emit(
            events.ServiceStopped(
                unaccounted=self._flow.account.unaccounted(held), in_flight=sum(held.values())
            )
        )

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
        await asyncio.wait(connections, timeout=_GOOD_BYE_S)
        for task in connections:
            task.cancel()  # only who is late notices

    # Wiring.

    def _serve_http(self, status: Status) -> HttpServer:
        http = self._settings.http
        return HttpServer(
            http.host,
            http.port,
            status,
            tap=self._tap,
            kept=self.kept,
            token=http.token,
            pages={} if self._staging is None else self._staging.pages(self._metrics),
        )

    def _spawn(self, work: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        if self._tasks is None:
            raise GeoweirError("the service does not run")
        task = self._tasks.create_task(work, name=name)
        self._spawned.add(task)
        task.add_done_callback(self._spawned.discard)
        return task

    def _make_inlet(self, stream: StreamSpec) -> MqttInlet:
        mqtt = self._settings.mqtt
        return self._world.inlet(
            lane=stream.name,
            client_id=f"{mqtt.client_id}-{stream.name}",
            filters=stream.subscribe,
            qos=stream.qos,
            window=mqtt.receive_window,
            window_bytes=mqtt.receive_bytes,
            on_link=partial(self._reporting.link, "in", stream.name),
            on_paused=lambda paused: self._reporting.paused(stream.name, paused=paused),
        )

    def _send_aside(self, message: Outgoing) -> None:
        """Publishes what no input waits for."""
        self._outlet.send([message])

    def _make_layer_inlet(self, layer: LayerSpec, linked: Callable[[bool], None]) -> MqttInlet:
        lane = f"layer:{layer.name}"

        def on_link(*, up: bool, why: str) -> None:
            self._reporting.link("in", lane, up=up, why=why)
            linked(up)

        inlet = self._world.inlet(
            lane=lane,
            client_id=f"{self._settings.mqtt.client_id}-{lane}",
            filters=(layer.topic,),
            qos=1,
            window=_FENCE_WINDOW,
            window_bytes=_FENCE_BYTES,
            on_link=on_link,
            session_expiry_s=0,  # each connection gets everything that is retained
        )
        self._layer_inlets.append(inlet)
        return inlet

    def _connections(self) -> list[Renewable]:
        return [self._outlet, *self._inlets.values(), *self._layer_inlets]

    def _state_message(self, state: str) -> Outgoing:
        body = {"state": state, "version": self._version, "since": self._since}
        return Outgoing(
            f"geoweir/status/{self._settings.mqtt.client_id}",
            orjson.dumps(body),
            qos=1,
            retain=True,
            content_type="application/json",
        )
