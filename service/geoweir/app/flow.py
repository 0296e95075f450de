"""The data path: the stages, built and wired to each other in the order of the data's way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain

from geoweir.app.memory import Memory
from geoweir.app.reporting import Reporting
from geoweir.codec.key import input_digest
from geoweir.codec.light import LightReader
from geoweir.core.account import Account
from geoweir.core.backlog import Backlog
from geoweir.core.clocks import Clocks
from geoweir.core.lane import DURABLE, LaneClosed, LaneOpened
from geoweir.core.outcome import Outcome
from geoweir.core.parcel import Parcel
from geoweir.core.repeats import Repeats
from geoweir.core.spec import StreamSpec
from geoweir.core.turns import WEIGHTS
from geoweir.mqtt.inlet import MqttInlet
from geoweir.mqtt.outlet import MqttOutlet
from geoweir.pool.supervisor import Pool
from geoweir.ports import Lives
from geoweir.settings.values import Settings, StateSettings
from geoweir.stages.counting import Counting
from geoweir.stages.delivery import Delivery
from geoweir.stages.dispatch import Dispatch
from geoweir.stages.guarding import Guard
from geoweir.stages.intake import Intake
from geoweir.stages.journal import Gate, Journal
from geoweir.stages.keeping import Keeping
from geoweir.stages.ordering import Ordering
from geoweir.stages.retries import Retries, RetryLane
from geoweir.stages.settlement import Confirmed, Settlement
from geoweir.stages.spilling import Spilling
from geoweir.stages.weir import Weir
from geoweir.store.spill.files import FileSpill
from geoweir.store.sqlite import SqliteStore
from geoweir.telemetry.observers import Observers
from geoweir.telemetry.snapshot import MEMORIES

__all__ = ["Flow"]


class Flow:
    """Every input's way from its inlet to its outcome.

    Args:
        settings: frozen, checked values.
        clocks: what stages measure time with.
        inlets: one per stream.
        outlet: where messages go.
        pool: who runs chunks.
        store: where dropped inputs are kept.
        spill: where inputs wait that the queue has no room for.
        lives: how earlier lives ended.
        reporting: who is told.
        spawn: starts a task that the service owns.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clocks: Clocks,
        inlets: Mapping[str, MqttInlet],
        outlet: MqttOutlet,
        pool: Pool,
        store: SqliteStore,
        spill: FileSpill | None,
        lives: Lives | None,
        reporting: Reporting,
        spawn: Callable[..., object],
    ) -> None:
        self._clocks = clocks
        self._inlets = inlets
        self._reporting = reporting
        names = [stream.name for stream in settings.streams]
        self._readers = {stream.name: LightReader(stream) for stream in settings.streams}
        self.account = Account(names)
        self.observers = Observers(names, identify=self._identify)
        self.weir = _weir(settings, clocks)
        self.retries = Retries(
            store=store,
            streams=names,
            spawn=spawn,
            on_settled=reporting.retried,
            is_empty=lambda: not store.totals.inputs,
            wall=clocks.wall,
        )
        self._keeping = Keeping(
            store=store,
            outcomes=_kept_outcomes(settings.state),
            earlier=self.retries.earlier,
            wall=clocks.wall,
        )
        # In memory there is nothing that acknowledgements would have to wait for.
        is_saved = settings.state.path is not None
        self._repeats = {
            stream.name: Repeats(stream.dedupe_s, stream.limits.ids, is_saved=is_saved)
            for stream in settings.streams
            if stream.dedupe_s is not None
        }
        self.counting = Counting(
            settings.streams,
            is_saved=is_saved,
            redelivered=settings.mqtt.receive_window,
            on_found=reporting.gaps_found,
            clock=clocks.monotonic,
        )
        self._memory = Memory(store, repeats=self._repeats, gaps=self.counting.gaps, clocks=clocks)
        self._journal = Journal(store, self._memory.collect)
        self._spawn = spawn
        gated = self._memory.streams if is_saved else set()
        lanes = self.retries.lanes
        confirmed: dict[str, Confirmed] = {
            **inlets,
            **{stream: Gate(inlets[stream], self._journal) for stream in gated},
            **{lane.name: lane for lane in lanes.values()},
        }
        self._settlement = Settlement(
            account=self.account,
            inlets=confirmed,
            any_order=settings.mqtt.ack_order == "any",
            clock=clocks.monotonic,
            on_settled=reporting.settled,
        )
        self._delivery = Delivery(
            streams=settings.streams,
            account=self.account,
            outlet=outlet,
            settle=self._settle,
            spawn=spawn,
            identify=self._identify,
            on_refused=reporting.refused,
            keep=self._keeping.keep,
        )
        self._ordering = Ordering(names, self._delivery.deliver)
        self.dispatch = self._make_dispatch(settings, pool, spawn)
        self.spilling = self._make_spilling(settings, spill)
        if self.spilling is not None:
            confirmed |= {lane.name: lane for lane in self.spilling.lanes.values()}
        self.guard = None if lives is None else self._make_guard(lives)
        self._intakes = [
            self._make_intake(stream, inlet)
            for stream in settings.streams
            for inlet in (inlets[stream.name], lanes[stream.name])
        ]

    def held(self) -> dict[str, int]:
        """Inputs that the stages say they hold, per stream, counted by themselves."""
        held = dict.fromkeys(self.account.totals, 0)
        for parcel in self._parcels():
            held[parcel.ledger.stream] += parcel.held
        for stream, waiting in (self.spilling.waiting() if self.spilling else {}).items():
            held[stream] += waiting
        return held

    def forgotten(self) -> dict[tuple[str, str], int]:
        """How many ids, or repeats, each stream's memories forgot at their bounds."""
        found = {(stream, memory): 0 for stream in self.account.totals for memory in MEMORIES}
        for intake in self._intakes:
            found[intake.stream, "interval"] += intake.forgotten
        for stream, repeats in self._repeats.items():
            found[stream, "repeat"] += repeats.evicted
        for stream, gaps in self.counting.gaps.items():
            found[stream, "sequence"] += gaps.evicted
        return found

    def at_broker(self) -> int:
        """Inputs of those whose messages the broker, or the store, has yet to answer for."""
        return sum(parcel.held for parcel in self._delivery.parcels())

    def start(self, tasks: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Lets inputs flow; the tasks that feed the path."""
        self._spawn(self._journal.run(), name="journal")
        feeders = []
        if self.spilling is not None:
            self.spilling.start()
            feeders = [
                tasks.create_task(self.spilling.run(), name="spilling"),
                tasks.create_task(self.spilling.release(), name="spill-release"),
            ]
        return [
            *feeders,
            tasks.create_task(self.dispatch.run(), name="dispatch"),
            *(tasks.create_task(intake.run(), name="intake") for intake in self._intakes),
            tasks.create_task(self.counting.run(), name="counting"),
        ]

    async def restore(self) -> None:
        """Takes up what an earlier service remembered of its inputs."""
        await self._memory.restore()

    # The end.

    async def saved(self) -> None:
        """Until no acknowledgement waits for the disk."""
        await self._journal.saved()

    async def close(self) -> None:
        """Reads no more; what was read goes on to its outcome."""
        if self.spilling is not None:
            self.spilling.close()
        for lane in self.retries.lanes.values():
            await lane.close()
        for inlet in self._inlets.values():
            await inlet.close()

    async def until_empty(self, seconds: float) -> bool:
        """Waits until nothing is held but by the disk; whether that came in time."""
        deadline = self._clocks.monotonic() + seconds
        while any(parcel.held for parcel in self._parcels()):
            if self._clocks.monotonic() > deadline:
                return False
            await asyncio.sleep(0.01)
        return True

    def give_back(self) -> None:
        """Leaves durable inputs to the broker, and reconciles those that would not come again.

        What is on its way to the output broker is left alone: an answer may still come.
        """
        waiting = [
            *chain(*(intake.parcels() for intake in self._intakes)),
            *self.weir.parcels(),
            *self.dispatch.waiting(),
        ]
        for parcel in self.spilling.parcels() if self.spilling else ():
            # It is on the disk as well, also where its lane would not send it again.
            still = parcel.without_released()
            self.account.give_back(still.ledger, still.positions)
            parcel.release(range(len(parcel)))
        for parcel in {*waiting, *self.dispatch.parcels(), *self._ordering.parcels()}:
            durable = [
                position
                for position, flags, is_open in zip(
                    parcel.positions, parcel.flags, parcel.open, strict=True
                )
                if flags & DURABLE and is_open
            ]
            self.account.give_back(parcel.ledger, durable)
            parcel.void()
        for parcel in waiting:
            # Always a parcel of its own: delivery answers for it when this one lets go.
            left = parcel.part([index for index, is_open in enumerate(parcel.open) if is_open])
            if len(left):
                self._delivery.deliver(self.dispatch.reconcile_waiting(left))
                parcel.release(range(len(parcel)))

    # What stages ask of each other.

    def _parcels(self) -> Iterator[Parcel]:
        return chain(
            *(intake.parcels() for intake in self._intakes),
            self.spilling.parcels() if self.spilling else (),
            self.weir.parcels(),
            self.dispatch.parcels(),
            self._ordering.parcels(),
            self._delivery.parcels(),
        )

    def _identify(self, stream: str, payload: bytes, address: str) -> list[str]:
        if self.guard is not None and self.guard.is_deadly(address, payload):
            return []
        return self._readers[stream].ids(payload, address)

    def _settle(
        self, parcel: Parcel, indices: Sequence[int], outcome: Outcome, reason: str
    ) -> None:
        """Settles, and shows to whoever watches what is settled."""
        if self.observers.is_watched(parcel.ledger.stream):
            self.observers.show(parcel, indices, outcome, reason)
        if parcel.ledger.stream in self._repeats and reason != "repeat":
            self._remember(parcel, indices, outcome)
        self._settlement.settle(parcel, indices, outcome, reason)
        if self.spilling is not None:
            self.spilling.settled(parcel.ledger.stream)
        self.retries.settled(parcel, indices, outcome)

    def _remember(self, parcel: Parcel, indices: Sequence[int], outcome: Outcome) -> None:
        """Lets equal inputs of a stream with ``dedupe`` be told apart; voided ones come again."""
        repeats, now = self._repeats[parcel.ledger.stream], self._clocks.monotonic()
        is_done = outcome in {Outcome.PUBLISHED, Outcome.FILTERED}
        for index in indices:
            if parcel.open[index]:
                digest = input_digest(parcel.addresses[index], parcel.payloads[index])
                repeats.settled(digest, now, is_done=is_done)

    def _void(self, lane: str) -> None:
        """A lane resumed: what stages hold of its ended epochs comes again."""
        for parcel in self._parcels():
            if parcel.ledger.lane == lane and parcel.ledger.is_closed:
                parcel.void()

    def _lane(self, stream: str, event: LaneOpened | LaneClosed) -> None:
        if isinstance(event, LaneOpened) and event.lane == stream:
            self.counting.came_back(stream)
        self._reporting.lane(stream, event, self.account.totals[stream].returned)
        if self.spilling is None or event.lane != stream:
            return
        if isinstance(event, LaneOpened):
            self.spilling.opened(stream, resumed=event.resumed)
        else:
            self.spilling.closed(stream)

    def _received(self, stream: str, _: int) -> None:
        self._reporting.received(stream, self._clocks.wall())

    def _make_dispatch(
        self, settings: Settings, pool: Pool, spawn: Callable[..., object]
    ) -> Dispatch:
        return Dispatch(
            streams=settings.streams,
            spec=settings.pool,
            pool=pool,
            filled=self.weir.filled,
            take=self.weir.get_nowait,
            top_up=self.weir.top_up,
            bound=self.weir.bound,
            account=self.account,
            start=self._ordering.start,
            finish=self._ordering.finish,
            room=self._delivery.room,
            identify=self._identify,
            spawn=spawn,
            events=self._reporting,
            is_watched=self.observers.is_watched,
            earlier=self.retries.earlier,
            clocks=self._clocks,
        )

    def _make_guard(self, lives: Lives) -> Guard:
        behind = (self.weir, self.dispatch, self._ordering, self._delivery)
        return Guard(
            lives,
            inside=lambda: sum(p.held for stage in behind for p in stage.parcels()),
            deliver=self._delivery.deliver,
            crashed=self.dispatch.reconcile_deadly,
            clocks=self._clocks,
        )

    def _make_spilling(self, settings: Settings, spill: FileSpill | None) -> Spilling | None:
        if settings.when_full == "backpressure":
            return None
        return Spilling(
            streams={stream.name: WEIGHTS[stream.priority] for stream in settings.streams},
            spill=spill,
            account=self.account,
            confirm=self._settlement.confirm,
            deliver=self._delivery.deliver,
            overflow=self.dispatch.reconcile_overflow,
            room=self._delivery.room,
            has_room=self.weir.room,
            is_full=self.weir.full,
            put=self.weir.put,
            piece=self.weir.piece,
            piece_bytes=settings.pool.chunk_bytes,
            on_trouble=self._reporting.spill_trouble,
            clocks=self._clocks,
        )

    def _make_intake(self, stream: StreamSpec, inlet: MqttInlet | RetryLane) -> Intake:
        is_counted = stream.name in self.counting.gaps and inlet is self._inlets[stream.name]
        # What is retried is in the store already, and bounded.
        diverts = self.spilling is not None and inlet is self._inlets[stream.name]
        return Intake(
            spec=stream,
            inlet=inlet,
            account=self.account,
            put=self.weir.put,
            piece=self.weir.piece,
            deliver=self._delivery.deliver,
            settle=self._settle,
            void=self._void,
            on_received=self._received,
            on_lane=self._lane,
            clocks=self._clocks,
            look=self.counting.look if is_counted else None,
            repeats=self._repeats.get(stream.name),
            guard=self.guard,
            divert=self.spilling.divert if self.spilling is not None and diverts else None,
        )


def _weir(settings: Settings, clocks: Clocks) -> Weir:
    return Weir(
        Backlog(
            {stream.name: stream.priority for stream in settings.streams},
            chunk=settings.pool.chunk,
            chunk_bytes=settings.pool.chunk_bytes,
        ),
        limit=settings.queue_limit,
        piece=settings.pool.chunk,
        clock=clocks.monotonic,
    )


def _kept_outcomes(state: StateSettings) -> list[Outcome]:
    kinds = ((Outcome.REJECTED, state.keeps_rejected), (Outcome.RECONCILED, state.keeps_reconciled))
    return [outcome for outcome, is_kept in kinds if is_kept]
