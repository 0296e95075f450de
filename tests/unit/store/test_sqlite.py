"""The store as the service has it: durable, bounded, and never in the way."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from geoweir.core.kept import KeptTotals, Selection
from geoweir.errors import ConfigurationError, StateError
from geoweir.store import sqlite, thread
from geoweir.store.aside import MOST_ASIDE
from geoweir.store.database import Database
from geoweir.store.kept import KeptTable
from geoweir.store.reading import open_for_reading
from geoweir.store.schema import APPLICATION_ID, VERSION
from support.eventually import until
from support.keeping import BOUNDS, StoreNotes, drop, open_store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


def contents(path: Path) -> bytes:
    return path.read_bytes()


def fill(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def aside(path: Path) -> list[Path]:
    return [p for p in path.parent.glob("*.damaged-*") if not p.name.endswith(("-wal", "-shm"))]


@pytest.mark.parametrize("in_memory", [False, True])
async def test_a_store_keeps_finds_loads_and_forgets(path: Path, in_memory: bool) -> None:
    async with open_store(None if in_memory else path) as store:
        assert await store.keep([drop("a"), drop("b")]) == 2
        assert await store.keep([]) == 0
        assert await store.last_sequence() == 2
        a, b = await store.find(Selection(), most=9)
        assert (a.topic, b.topic, a.payload) == ("in/a", "in/b", None)
        (loaded,) = await store.load(Selection(ids=(b.id,)), most=9, most_bytes=9)
        assert loaded.payload == b"payload"
        assert await store.forget([a.id])
        assert await store.forget([])
        await until(lambda: store.totals.inputs == 1)
        assert store.trouble is None


async def test_what_was_kept_is_there_at_the_next_start(path: Path) -> None:
    async with open_store(path) as store:
        await store.keep([drop("a")])
    async with open_store(path) as store:
        (one,) = await store.find(Selection(), most=9)
        assert one.topic == "in/a"
        await until(lambda: store.totals.inputs == 1)


async def test_a_file_with_payloads_is_for_the_service_alone(path: Path) -> None:
    async with open_store(path) as store:
        await store.keep([drop()])
        modes = {one.name: one.stat().st_mode & 0o777 for one in path.parent.iterdir()}
    assert modes == {"state.db": 0o600, "state.db-wal": 0o600}


async def test_what_waits_together_is_one_transaction(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits: list[int] = []
    plain = Database._transact

    def counted(self: Database, work: Callable[[KeptTable], object]) -> object:
        commits.append(1)
        return plain(self, work)

    monkeypatch.setattr(Database, "_transact", counted)
    async with open_store(path) as store:
        kept = await asyncio.gather(*(store.keep([drop(n)]) for n in range(300)))
    assert sum(kept) == 300
    assert len(commits) < 30


async def test_more_than_may_wait_is_refused_at_once_and_counted(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thread, "MOST_WAITING", 3)
    gate = threading.Event()
    notes = StoreNotes()
    async with open_store(path, notes) as store:
        held = store._thread.submit(lambda _: gate.wait(20))
        await until(lambda: not store._thread._jobs)
        waiting = [asyncio.ensure_future(store.keep([drop(n)])) for n in range(5)]
        await asyncio.sleep(0)
        assert [task.done() for task in waiting] == [False] * 3 + [True] * 2
        with pytest.raises(StateError, match="too slow"):
            await store.find(Selection(), most=1)
        assert not await store.forget(["0" * 24])
        gate.set()
        assert await held
        assert await asyncio.gather(*waiting) == [1, 1, 1, 0, 0]
    assert notes.lost == {"busy": 2}


async def test_more_bytes_than_may_wait_are_refused_but_one_job_never(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thread, "MOST_WAITING_BYTES", 1000)
    gate = threading.Event()
    notes = StoreNotes()
    async with open_store(path, notes) as store:
        held = store._thread.submit(lambda _: gate.wait(20))
        await until(lambda: not store._thread._jobs)
        first = asyncio.ensure_future(store.keep([drop("a", payload=b"x" * 5000)]))
        second = asyncio.ensure_future(store.keep([drop("b")]))
        await asyncio.sleep(0)
        gate.set()
        assert [await first, await second, await held] == [1, 0, True]
    assert notes.lost == {"busy": 1}


async def test_a_disk_that_hangs_holds_up_no_outcome(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "PATIENCE_S", 0.05)
    gate = threading.Event()
    notes = StoreNotes()
    async with open_store(path, notes) as store:
        held = store._thread.submit(lambda _: gate.wait(20))
        assert await store.keep([drop("a")]) == 0
        assert notes.lost == {"busy": 1}
        gate.set()
        assert await held
        # Counted as not kept, it is not kept.
        assert await store.find(Selection(), most=9) == []


async def test_what_is_larger_than_everything_that_may_be_kept_is_counted(path: Path) -> None:
    notes = StoreNotes()
    async with open_store(path, notes, replace(BOUNDS, size=70_000)) as store:
        assert await store.keep([drop("a", payload=b"x" * 70_000), drop("b")]) == 1
    assert notes.lost == {"too-large": 1}


async def test_what_leaves_at_a_bound_is_told(path: Path) -> None:
    notes = StoreNotes()
    async with open_store(path, notes, replace(BOUNDS, messages=2)) as store:
        await store.keep([drop(n) for n in range(5)])
        await until(lambda: notes.gone)
    assert notes.gone == {"messages": 3}


@pytest.mark.parametrize("cut", [0, 1, 50, 4096, 20_000])
@pytest.mark.parametrize("content", ["garbage", "zeros", "middle"])
async def test_a_damaged_file_is_put_aside_and_a_fresh_one_begun(
    path: Path, content: str, cut: int
) -> None:
    if content == "middle":
        async with open_store(path) as store:
            await store.keep([drop(n, payload=os.urandom(500)) for n in range(100)])
        damaged = bytearray(contents(path))
        damaged[cut : cut + 3000] = b"\xa5" * 3000
        data = bytes(damaged)
    else:
        data = (b"\0" if content == "zeros" else b"g") * (cut + 100)
    fill(path, data)
    notes = StoreNotes()
    async with open_store(path, notes) as store:
        assert await store.keep([drop("new")]) == 1
        assert "in/new" in [one.topic for one in await store.find(Selection(), most=1000)]
    if content == "middle" and not notes.damaged:
        return  # the damage lies in a payload, which has no checksum: nothing is made up
    (why, name) = notes.damaged[0]
    assert why
    assert contents(Path(name)) == data
    assert aside(path) == [Path(name)]


async def test_a_foreign_database_is_put_aside_as_it_was(path: Path) -> None:
    with sqlite3.connect(path) as theirs:
        theirs.execute("CREATE TABLE precious (a INTEGER)")
    theirs.close()
    before = contents(path)
    notes = StoreNotes()
    async with open_store(path, notes) as store:
        assert await store.keep([drop()]) == 1
    ((why, name),) = notes.damaged
    assert "another program's" in why
    assert contents(Path(name)) == before


async def test_a_newer_geoweirs_file_is_put_aside(path: Path) -> None:
    with sqlite3.connect(path) as newer:
        newer.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        newer.execute(f"PRAGMA user_version = {VERSION + 1}")
    newer.close()
    notes = StoreNotes()
    async with open_store(path, notes):
        pass
    assert "newer" in notes.damaged[0][0]


async def test_damage_that_shows_later_costs_the_file_and_not_the_service(path: Path) -> None:
    notes = StoreNotes()
    async with open_store(path, notes) as store:
        await store.keep([drop("a")])
        await store._thread.submit(
            lambda table: table._connection.execute("UPDATE kept SET headers = x'c1'")
        )
        assert await store.find(Selection(), most=9) == []
        assert await store.keep([drop("b")]) == 1
        assert [one.topic for one in await store.find(Selection(), most=9)] == ["in/b"]
    assert len(notes.damaged) == len(aside(path)) == 1


async def test_a_card_that_damages_every_file_is_not_filled_with_them(path: Path) -> None:
    notes, kept = StoreNotes(), 0
    for _ in range(MOST_ASIDE + 2):
        fill(path, b"garbage" * 1000)
        async with open_store(path, notes) as store:
            kept = await store.keep([drop()])
    assert len(aside(path)) == MOST_ASIDE
    assert kept == 0
    assert notes.lost["damaged"] == 2
    assert "damaged files lie beside it already" in notes.failed[-1][1]


async def test_two_services_never_share_a_file_and_the_second_is_told(path: Path) -> None:
    async with open_store(path) as first:
        await first.keep([drop()])
        with pytest.raises(ConfigurationError, match="another process has it open"):
            async with open_store(path):
                pytest.fail("it opened")
        with (
            pytest.raises(StateError, match="a running service has it open"),
            open_for_reading(path),
        ):
            pytest.fail("it opened")
    with open_for_reading(path) as table:
        assert table.totals.inputs == 1


async def test_a_file_that_cannot_be_opened_is_the_configurations_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"state\.path: .* can't be written there"):
        async with open_store(tmp_path / "no" / "folder" / "state.db"):
            pytest.fail("it opened")


async def test_a_stopped_services_file_is_read_and_not_changed(path: Path) -> None:
    async with open_store(path) as store:
        await store.keep([drop("a"), drop("b")])
    before = contents(path)
    with open_for_reading(path) as table:
        assert [one.topic for one in table.find(Selection(), 9)] == ["in/a", "in/b"]
        with pytest.raises(StateError, match="readonly"), open_for_reading(path) as other:
            other.forget([table.find(Selection(), 1)[0].id])
    assert contents(path) == before


@pytest.mark.parametrize("content", [b"garbage" * 1000, b""])
def test_reading_what_is_none_of_ours_is_one_clear_line(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(StateError, match=r"state\.db: ") as caught, open_for_reading(path):
        pytest.fail("it opened")
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="no such file"), open_for_reading(path / "x"):
        pytest.fail("it opened")


async def test_after_the_end_nothing_is_taken(path: Path) -> None:
    notes = StoreNotes()
    async with open_store(path, notes) as store:
        pass
    assert await store.keep([drop()]) == 0
    assert notes.lost == {"busy": 1}
    assert store.totals == KeptTotals()
