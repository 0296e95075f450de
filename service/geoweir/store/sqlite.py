"""The StateStore port on SQLite: a file that outlives the process, or the same in memory."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

from geoweir.core.kept import Drop, Kept, KeptTotals, Selection
from geoweir.core.states import StateChange, StateRow
from geoweir.errors import ConfigurationError, StateError
from geoweir.store.database import Database
from geoweir.store.kept import Bounds
from geoweir.store.thread import DatabaseThread

__all__ = ["PATIENCE_S", "SqliteStore", "StoreEvents"]

#: What stands in the way at the start is the configuration's fault; the rest may pass.
_OF_THE_CONFIGURATION: Final = frozenset({"locked", "unwritable"})
#: An outcome waits no longer for the disk: a card that hangs must not hold up a stream.
PATIENCE_S: Final = 5.0
#: What a drop weighs in the queue beside its payload.
_DROP_BYTES: Final = 500
_CHANGE_BYTES: Final = 200


class StoreEvents(Protocol):
    """Who is told how the store is."""

    def store_failed(self, why: str, detail: str) -> None:
        """The store can't keep or read from now on."""

    def store_works(self) -> None:
        """It can again."""

    def store_damaged(self, why: str, aside: str) -> None:
        """The file was put aside under the name ``aside``, and a fresh one begun."""

    def not_kept(self, why: str, n: int) -> None:
        """So many dropped inputs are not kept."""

    def removed(self, counts: Mapping[str, int]) -> None:
        """So many kept inputs left because of each bound."""


class SqliteStore:
    """Keeps dropped inputs between ``async with`` and its end.

    Args:
        path: None for memory.
        bounds: how much is kept.
        wall: Unix seconds.

    Attributes:
        totals: how much is kept.
        trouble: why it can't keep now; None while it can.
    """

    def __init__(
        self,
        path: Path | None,
        bounds: Bounds,
        *,
        events: StoreEvents,
        wall: Callable[[], float],
    ) -> None:
        self.path = path
        self.bounds = bounds
        self.totals = KeptTotals()
        self.trouble: StateError | None = None
        self._events = events
        self._loop: asyncio.AbstractEventLoop | None = None
        self._database = Database(path, bounds, on_damage=self._damaged)
        self._thread = DatabaseThread(self._database, wall=wall, on_turn=self._turned)

    def __repr__(self) -> str:
        return f"<SqliteStore {self.path or 'memory'} inputs={self.totals.inputs}>"

    async def __aenter__(self) -> Self:
        """Opens the file.

        Raises:
            ConfigurationError: the path can't hold a store.
        """
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        try:
            await self._thread.submit(lambda _: None)
        except StateError as error:
            if error.why in _OF_THE_CONFIGURATION:
                await self._end()
                raise ConfigurationError(f"state.path: {error}") from None
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finishes what waits, and closes the file."""
        await self._end()

    async def keep(self, drops: Sequence[Drop]) -> int:
        """Keeps dropped inputs; how many are durable now."""
        if not drops:
            return 0
        size = sum(_DROP_BYTES + len(drop.payload) for drop in drops)
        try:
            async with asyncio.timeout(PATIENCE_S):
                kept = await self._thread.submit(
                    lambda table: table.keep(drops), size=size, changes=True
                )
        except StateError as error:
            self._events.not_kept(error.why, len(drops))
            return 0
        except TimeoutError:
            self._events.not_kept("busy", len(drops))
            return 0
        if kept < len(drops):
            self._events.not_kept("too-large", len(drops) - kept)
        return kept

    async def forget(self, ids: Sequence[str]) -> bool:
        """Lets go of kept inputs."""
        if not ids:
            return True
        try:
            await self._thread.submit(
                lambda table: table.forget(ids), size=_DROP_BYTES * len(ids), changes=True
            )
        except StateError:
            return False
        return True

    async def save_states(self, changes: Sequence[StateChange]) -> bool:
        """Saves what streams remember; whether it is durable."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._thread.submit(
                    lambda table: table.states.save(changes),
                    size=_CHANGE_BYTES * len(changes),
                    changes=True,
                )
        except (StateError, TimeoutError):
            return False
        return True

    async def load_states(self, stream: str, kind: str) -> list[StateRow]:
        """What a stream remembered, the oldest first."""
        return await self._thread.submit(lambda table: table.states.load(stream, kind))

    async def find(self, selection: Selection, *, most: int) -> list[Kept]:
        """Descriptions of kept inputs by their sequence."""
        return await self._thread.submit(lambda table: table.find(selection, most))

    async def load(self, selection: Selection, *, most: int, most_bytes: int) -> list[Kept]:
        """Kept inputs with their payloads by their sequence."""
        return await self._thread.submit(lambda table: table.load(selection, most, most_bytes))

    async def last_sequence(self) -> int:
        """The greatest sequence so far."""
        return await self._thread.submit(lambda table: table.last_sequence())

    async def _end(self) -> None:
        self._thread.end()
        await asyncio.to_thread(self._thread.join, PATIENCE_S)

    # In the thread.

    def _turned(self, error: StateError | None) -> None:
        table = self._database.table
        removed: Counter[str] = Counter()
        totals = self.totals
        if table is not None:
            totals = table.totals
            removed, table.removed = table.removed, removed
        self._tell(self._note, error, totals, removed)

    def _damaged(self, why: str, aside: Path) -> None:
        self._tell(self._events.store_damaged, why, str(aside))

    def _tell(self, listener: Callable[..., None], *said: object) -> None:
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(listener, *said)

    # In the loop.

    def _note(self, error: StateError | None, totals: KeptTotals, removed: Counter[str]) -> None:
        self.totals = totals
        if removed:
            self._events.removed(removed)
        if error is not None and self.trouble is None:
            self._events.store_failed(error.why, error.detail)
        elif error is None and self.trouble is not None:
            self._events.store_works()
        self.trouble = error
