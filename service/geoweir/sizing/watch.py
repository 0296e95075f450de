"""Watches a measurement: the service's account, its memory, and how the feeder may go on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Final

from geoweir.core.spec import StreamSpec
from geoweir.sizing.child import Child
from geoweir.sizing.processes import inherited_bytes, private_bytes, workers_of
from geoweir.sizing.readings import counts_of, reasons_in, restarts
from geoweir.sizing.results import Memory, StreamOutcomes
from geoweir.sizing.traffic import Traffic

__all__ = ["Watch"]

_LOOK_S: Final = 0.2
_DRAINED_S: Final = 8.0
_STILL_S: Final = 2.0  # without an answer, when only QoS 0 can be the cause


class Watch:
    """Looks at the account and the memory every now and then while inputs are sent."""

    def __init__(
        self, traffic: Traffic, child: Child | None, streams: Sequence[StreamSpec]
    ) -> None:
        self.memory = Memory(service=0, worker=0)
        self._traffic = traffic
        self._child = child
        self._is_reliable = all(stream.qos for stream in streams)
        workers = workers_of(child.pid) if child is not None else []
        self._inherited = {pid: inherited_bytes(pid) for pid in workers}
        self._account: dict[str, Any] = {"streams": {}, "unaccounted": 0}
        self._lost = 0

    async def saturate(self, seconds: float) -> None:
        """Feeds as much as goes."""
        await self._while(self._traffic.saturate(seconds))

    async def pace(self, rate: float, seconds: float) -> None:
        """Feeds at a rate."""
        await self._while(self._traffic.pace(rate, seconds))

    async def _while(self, feeding: Coroutine[Any, Any, None]) -> None:
        async with asyncio.TaskGroup() as tasks:
            looking = tasks.create_task(self._keep_looking(), name="bench-look")
            await feeding
            looking.cancel()

    async def _keep_looking(self) -> None:
        answered, since = -1, time.monotonic()
        while True:
            await asyncio.sleep(_LOOK_S)
            await self.look()
            flow, now = self._traffic.flow, time.monotonic()
            flow.adapt(now)
            if flow.answered != answered:
                answered, since = flow.answered, now
            elif not self._is_reliable and now - since > _STILL_S:
                self._lost += flow.write_off()
            self._traffic.wake()

    async def look(self) -> None:
        """Reads the account and the memory once."""
        if self._child is None:
            return
        self._account = await self._child.account()
        self._traffic.flow.confirm(_sum(self._account, "settled"))
        self.memory = Memory(
            service=max(self.memory.service, private_bytes(self._child.pid)),
            worker=max([self.memory.worker, *self._workers_bytes()]),
        )

    def _workers_bytes(self) -> list[int]:
        return [private_bytes(pid) - inherited for pid, inherited in self._inherited.items()]

    async def drain(self) -> None:
        """Waits until everything that was sent has its outcome, or nothing more comes."""
        until = time.monotonic() + _DRAINED_S
        while True:
            await self.look()
            done = _sum(self._account, "settled") + self._lost
            if done >= self._traffic.flow.caused or time.monotonic() > until:
                return
            await asyncio.sleep(_LOOK_S / 4)

    def outcomes(self) -> dict[str, StreamOutcomes]:
        """What became of the inputs, by stream."""
        return {
            name: StreamOutcomes(
                received=counts["received"],
                published=counts["published"],
                filtered=counts["filtered"],
                rejected=counts["rejected"],
                reconciled=counts["reconciled"],
                reasons=reasons_in(self._account, name),
            )
            for name, counts in counts_of(self._account).items()
        }

    def faults(self) -> list[str]:
        """Why the account does not balance."""
        missing = self._traffic.flow.caused - _sum(self._account, "received")
        found = []
        if self._account["unaccounted"]:
            found.append(f"{self._account['unaccounted']} inputs are unaccounted for")
        if self._is_reliable and missing > 0:
            found.append(f"{missing} inputs never arrived")
        if self._traffic.refusals:
            found.append(f"the broker refused inputs: {self._traffic.refusals[0]}")
        return found

    def notes(self, metrics: str) -> tuple[str, ...]:
        """What a reader must know of the figures.

        Args:
            metrics: what the service says at the end.
        """
        in_flight = _sum(self._account, "in_flight")
        missing = self._traffic.flow.caused - _sum(self._account, "received")
        found = []
        if in_flight:
            found.append(f"{in_flight} inputs were still in flight {_DRAINED_S:g} s after the end")
        if not self._is_reliable and missing > 0:
            found.append(f"{missing} inputs at QoS 0 never arrived")
        replaced = restarts(metrics)
        if replaced:
            why = ", ".join(f"{reason} {count}" for reason, count in replaced.items())
            found.append(f"workers were replaced: {why}")
        return tuple(found)


def _sum(account: Mapping[str, Any], what: str) -> int:
    return sum(counts[what] for counts in counts_of(account).values())
