"""Between settlement and the lanes: acknowledgements wait until what was remembered is saved.

So what a stream remembers of an input outlives a crash whenever the broker does not send that
input again. Inputs that are settled within a few milliseconds share one sync of the disk. Where the
store fails, acknowledgements go on: a repeat may pass then, and no input is held up for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from geoweir.core.states import StateChange
from geoweir.ports import Inlet, StateStore

__all__ = ["Gate", "Journal"]

#: How long acknowledgements wait for others: a card wears out by each sync.
_LINGER_S: Final = 0.01


class Journal:
    """Saves what is remembered, then lets acknowledgements go.

    Args:
        store: where it is saved.
        collect: what is to be saved since the last call.
    """

    def __init__(self, store: StateStore, collect: Callable[[], Sequence[StateChange]]) -> None:
        self._store = store
        self._collect = collect
        self._waiting: list[Callable[[], None]] = []  # bounded by the lanes' windows
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def after_saving(self, act: Callable[[], None]) -> None:
        """Acts when everything that is remembered now is saved."""
        self._waiting.append(act)
        self._idle.clear()
        self._wake.set()

    async def run(self) -> None:
        """Saves, for ever."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(_LINGER_S)
            await self._save()

    async def saved(self) -> None:
        """Until nothing waits, and everything that is remembered now is saved."""
        self._idle.clear()
        self._wake.set()
        await self._idle.wait()

    async def _save(self) -> None:
        self._wake.clear()
        waiting, self._waiting = self._waiting, []
        changes = self._collect()
        if changes:
            await self._store.save_states(changes)
        for act in waiting:
            act()
        if not self._waiting:
            self._idle.set()


class Gate:
    """The part of an inlet that settlement knows, behind the journal."""

    def __init__(self, inlet: Inlet, journal: Journal) -> None:
        self._inlet = inlet
        self._journal = journal

    def settle(self, lane: str, epoch: int, position: int) -> None:
        """Confirms a prefix when what is remembered of it is saved."""
        self._journal.after_saving(partial(self._inlet.settle, lane, epoch, position))

    def settle_each(self, lane: str, epoch: int, positions: Sequence[int]) -> None:
        """Likewise single inputs."""
        self._journal.after_saving(partial(self._inlet.settle_each, lane, epoch, positions))
