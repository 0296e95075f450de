"""Faults that are put into the service on purpose: the simulation has to find each."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from unittest import mock

from geoweir.core.account import Account, Ledger
from geoweir.core.parcel import Parcel
from geoweir.core.repeats import Repeats
from geoweir.core.sequence import Resequencer
from geoweir.mqtt.inlet import MqttInlet
from geoweir.mqtt.link import Greeting
from geoweir.mqtt.outlet import MqttOutlet
from geoweir.mqtt.stream_link import StreamLink
from geoweir.stages.delivery import Delivery
from geoweir.stages.dispatch import Dispatch
from geoweir.stages.keeping import Keeping
from geoweir.stages.settlement import Settlement
from geoweir.stages.spilling import SpillLane
from geoweir.store.spill import log, note
from geoweir.store.spill.segment import Segment
from simulation.scenario import simulate

__all__ = ["PLANTED", "seeds_until_found"]


def _ack_first() -> Any:
    """Delivery settles before the broker has answered."""

    async def finish(
        self: Delivery,
        verdict: Any,
        leaving: Mapping[int, Sequence[int]],
        messages: list[Any],
        answers: Any,
        size: int,
    ) -> None:
        await self._keep(verdict.parcel, leaving, messages, verdict.details)
        self._settle_groups(verdict.parcel, leaving)
        self._let_go(verdict.parcel)
        await answers
        self._grow(-size)

    return mock.patch.object(Delivery, "_finish", finish)


def _forgotten() -> Any:
    """A chunk whose worker died is held by nobody."""

    async def after_failure(self: Dispatch, chunk: Parcel, *_: object) -> None:
        self._working.discard(chunk)
        await asyncio.get_running_loop().create_future()

    return mock.patch.object(Dispatch, "_after_failure", after_failure)


def _settled_twice() -> Any:
    """What was returned to the broker is still answered for by the stages."""
    return mock.patch.object(Parcel, "void", return_value=None)


def _epochs_mixed() -> Any:
    """Receipts of an ended epoch confirm inputs of the next."""
    settle, confirm = MqttInlet.settle, Account.confirm

    def anyhow(self: MqttInlet, lane: str, _: int, position: int) -> None:
        settle(self, lane, self._epoch, position)

    def closed_too(self: Account, ledger: Ledger) -> int | None:
        was_closed, ledger.is_closed = ledger.is_closed, False
        try:
            return confirm(self, ledger)
        finally:
            ledger.is_closed = was_closed

    stack = contextlib.ExitStack()
    stack.enter_context(mock.patch.object(MqttInlet, "settle", anyhow))
    stack.enter_context(mock.patch.object(Account, "confirm", closed_too))
    return stack


def _not_sent_again() -> Any:
    """The outlet forgets what had no answer when its connection was lost."""
    drop = MqttOutlet._drop

    def forget(self: MqttOutlet) -> None:
        self._under_way.clear()
        drop(self)

    return mock.patch.object(MqttOutlet, "_drop", forget)


def _one_too_many_in() -> Any:
    """The inlet's window is one input too large."""
    room = MqttInlet.room

    def larger(self: MqttInlet) -> tuple[int, int]:
        count, size = room(self)
        return count + 1, size

    return mock.patch.object(MqttInlet, "room", larger)


def _one_too_many_out() -> Any:
    """The outlet has one publish more under way than the broker allows."""

    def connected(self: MqttOutlet, greeting: Greeting) -> None:
        self._receive_maximum = greeting.receive_maximum + 1

    return mock.patch.object(MqttOutlet, "connected", connected)


def _kept_later() -> Any:
    """A dropped input is acknowledged while the store is still writing it."""
    keep = Keeping.keep
    going: set[asyncio.Future[None]] = set()

    async def later(self: Keeping, *given: Any) -> None:
        task = asyncio.ensure_future(keep(self, *given))
        going.add(task)
        task.add_done_callback(going.discard)
        await asyncio.sleep(0)

    return mock.patch.object(Keeping, "keep", later)


def _out_of_order() -> Any:
    """Chunks are delivered as their workers answer."""
    return mock.patch.object(Resequencer, "finish", lambda _, __, item: [item])


def _backwards() -> Any:
    """Acknowledgements leave in the wrong order."""
    acknowledge = StreamLink.acknowledge

    def reversed_(self: StreamLink, mids: Sequence[int]) -> None:
        acknowledge(self, mids[::-1])

    return mock.patch.object(StreamLink, "acknowledge", reversed_)


def _all_of_it() -> Any:
    """A chunk is settled as a whole where only a part of it is."""
    settle = Settlement.settle

    def whole(self: Settlement, parcel: Parcel, indices: Sequence[int], *said: Any) -> None:
        settle(self, parcel, range(len(parcel)) if indices else indices, *said)

    return mock.patch.object(Settlement, "settle", whole)


def _spilled_too_early() -> Any:
    """An input is released to its lane while its record is not yet on the disk."""

    def append(self: Segment, records: Sequence[bytes]) -> None:
        os.pwrite(self._descriptor, data := b"".join(records), self.size)
        self.size += len(data)
        self.count += len(records)

    return mock.patch.object(Segment, "append", append)


def _brought_back_twice() -> Any:
    """What comes again from the broker is brought back from the disk as well."""
    return mock.patch.object(SpillLane, "wanted", lambda _, inputs: list(inputs))


def _nameless() -> Any:
    """New files of the spill are not made durable in their folder."""
    return mock.patch.object(log, "sync_folder", return_value=None)


def _trusted() -> Any:
    """A note that can be read is taken for durable."""
    return mock.patch.object(note, "sync_files", return_value=None)


def _seen_too_early() -> Any:
    """With ``dedupe``, an input counts as seen while it has no outcome yet."""
    is_repeat = Repeats.is_repeat

    def seen(self: Repeats, digest: str, now: float) -> bool:
        known = is_repeat(self, digest, now)
        self.settled(digest, now, is_done=True)
        return known

    return mock.patch.object(Repeats, "is_repeat", seen)


#: Each fault, and the seeds within which it must be found.
PLANTED: dict[str, Callable[[], Any]] = {
    "acknowledged before the outcome was": _ack_first,
    "a parcel forgotten when its worker dies": _forgotten,
    "returned inputs settled twice": _settled_twice,
    "epochs mixed up": _epochs_mixed,
    "not sent again after a reconnect": _not_sent_again,
    "the inlet's window off by one": _one_too_many_in,
    "the outlet's window off by one": _one_too_many_out,
    "acknowledged before it is durable": _kept_later,
    "order broken": _out_of_order,
    "acknowledgements out of order": _backwards,
    "settled as a whole": _all_of_it,
    "spilled inputs released before they are durable": _spilled_too_early,
    "spilled inputs not passed over": _brought_back_twice,
    "seen before its outcome": _seen_too_early,
    "the spill's names not synced": _nameless,
    "the spill's note trusted unsynced": _trusted,
}


@contextlib.contextmanager
def planted(name: str) -> Iterator[None]:
    """Within it the service has the fault."""
    with PLANTED[name]():
        yield


def seeds_until_found(name: str, most: int) -> tuple[int, str] | None:
    """How many seeds it takes to find a fault, and what was found."""
    with planted(name):
        for seed in range(most):
            report = simulate(seed)
            if report.error is not None:
                return seed + 1, report.error
    return None


if __name__ == "__main__":
    for one in PLANTED:
        found = seeds_until_found(one, 300)
        print(f"| {one} | {found[0] if found else 'not found'} | {found[1] if found else ''} |")
