"""An acknowledgement leaves after what is remembered of it is saved, and leaves in any case."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from geoweir.core.states import StateChange
from geoweir.stages.journal import Gate, Journal

CHANGE = StateChange("s", "k", "a", b"", 1.0)


class Disk:
    """A store whose disk answers when the test says so."""

    def __init__(self) -> None:
        self.saved: list[StateChange] = []
        self.may_answer = asyncio.Event()
        self.works = True

    async def save_states(self, changes: Sequence[StateChange]) -> bool:
        await self.may_answer.wait()
        if self.works:
            self.saved += changes
        return self.works


class Lane:
    """An inlet that notes what it is told."""

    def __init__(self) -> None:
        self.confirmed: list[object] = []

    def settle(self, lane: str, epoch: int, position: int) -> None:
        self.confirmed.append((lane, epoch, position))

    def settle_each(self, lane: str, epoch: int, positions: Sequence[int]) -> None:
        self.confirmed.append((lane, epoch, list(positions)))


@pytest.mark.parametrize("works", [True, False])
def test_what_is_settled_waits_for_the_disk(works: bool) -> None:
    async def run() -> None:
        disk, lane, due = Disk(), Lane(), [CHANGE]

        def collect() -> list[StateChange]:
            taken = due[:]
            due.clear()
            return taken

        disk.works = works
        journal = Journal(disk, collect)  # type: ignore[arg-type]
        gate = Gate(lane, journal)  # type: ignore[arg-type]
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            task = tasks.create_task(journal.run(), name="journal")
            gate.settle("s", 1, 7)
            gate.settle_each("s", 1, [9, 11])
            await asyncio.sleep(0.1)
            assert lane.confirmed == []
            disk.may_answer.set()
            await journal.saved()
            assert disk.saved == ([CHANGE] if works else [])
            assert lane.confirmed == [("s", 1, 7), ("s", 1, [9, 11])]
            gate.settle("s", 1, 12)  # nothing new to save: it goes all the same
            await journal.saved()
            assert lane.confirmed[-1] == ("s", 1, 12)
            task.cancel()

    asyncio.run(run())
