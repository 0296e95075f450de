"""What streams remember comes back as it was saved, in order, from a file of any earlier form."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from geoweir.core.states import StateChange, StateRow
from geoweir.store import schema
from support.keeping import drop, open_store


def test_values_are_replaced_removed_and_ordered_by_moment(tmp_path: Path) -> None:
    async def run() -> None:
        path = tmp_path / "state.db"
        async with open_store(path) as store:
            changes = [StateChange("s", "k", ident, b"1", 1.0) for ident in ("a", "b", "c")]
            assert await store.save_states(changes)
            assert await store.save_states(
                [
                    StateChange("s", "k", "a", b"2", 2.0),
                    StateChange("s", "k", "b", None, 2.0),
                    StateChange("s", "other", "\ud800\0", b"", 3.0),
                    StateChange("t", "k", "a", b"3", 3.0),
                ]
            )
        async with open_store(path) as store:
            rows = await store.load_states("s", "k")
            assert rows == [StateRow("c", b"1", 1.0), StateRow("a", b"2", 2.0)]
            assert await store.load_states("s", "other") == [StateRow("\ud800\0", b"", 3.0)]
            assert await store.load_states("nobody", "k") == []

    asyncio.run(run())


def test_a_file_of_the_first_form_is_moved_on_with_what_it_keeps(tmp_path: Path) -> None:
    path = tmp_path / "state.db"

    async def keep() -> None:
        async with open_store(path) as store:
            await store.keep([drop("1")])

    async def look() -> None:
        async with open_store(path) as store:
            assert await store.save_states([StateChange("s", "k", "a", b"", 1.0)])
            assert await store.load_states("s", "k") == [StateRow("a", b"", 1.0)]
            assert store.totals.inputs == 1

    asyncio.run(keep())
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE states")
        connection.execute("PRAGMA user_version = 1")
        connection.commit()
    asyncio.run(look())
    with closing(sqlite3.connect(path)) as connection:
        assert schema.read_version(connection) == schema.VERSION
