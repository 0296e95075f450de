"""Layers in the hands of workers: handed over open, replaced between chunks, refused when bad."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from faults.poolside import Restarts, Shelved, answers, descriptors, file_of, pool_of, work
from geoweir.pool.shelf import ShelfFile
from geoweir.pool.supervisor import Pool
from support.eventually import until


def put(pool: Pool, *files: ShelfFile) -> None:
    for file in files:
        pool._shelf.put(file)


async def seen_by_all(pool: Pool, name: str) -> set[bytes]:
    """What each worker has under the name."""
    slots = [await pool.idle() for _ in pool.stats()]
    runs = [slot.run(work(f"layer {name}"), deadline_s=20) for slot in slots]
    done = [ran.done for ran in await asyncio.gather(*runs)]
    return {found.messages[0].payload for found in done if found is not None}


async def test_workers_take_up_what_replaces_a_layer_and_the_old_file_is_closed() -> None:
    shelved = Shelved()
    async with pool_of(2, layers=[file_of("a", "1", b"one")], shelved=shelved) as pool:
        assert await seen_by_all(pool, "a") == {b"one"}
        before = descriptors()
        for number in range(20):
            put(pool, file_of("a", f"n{number}", f"content {number}".encode()))
            await until(lambda n=number: shelved.took[-1] == ("a", f"n{n}"))  # type: ignore[misc]
        await until(lambda: not any(slot.is_behind() for slot in pool._slots))
        assert await seen_by_all(pool, "a") == {b"content 19"}
        assert descriptors() == before
        assert [stats.restarts for stats in pool.stats()] == [0, 0]


async def test_a_layer_and_a_raster_of_one_name_are_two() -> None:
    files = [file_of("a", "1", b"layer"), file_of("a", "1", b"raster", "raster")]
    async with pool_of(1, layers=files) as pool:
        put(pool, file_of("a", "2", b"raster two", "raster"))
        await until(lambda: not any(slot.is_behind() for slot in pool._slots))
        assert await answers(pool, "layer a", "raster a") == [b"layer", b"raster two"]


async def test_a_busy_worker_takes_it_up_before_its_next_chunk() -> None:
    async with pool_of(1, layers=[file_of("a", "1", b"one")]) as pool:
        slot = await pool.idle()
        running = asyncio.ensure_future(
            slot.run(work("layer a", "sleep 0.3", "layer a"), deadline_s=20)
        )
        await asyncio.sleep(0.05)
        put(pool, file_of("a", "2", b"two"))
        done = (await running).done
        assert done is not None
        assert [m.payload for m in done.messages] == [b"one", b"sleep 0.3", b"one"]
        assert await answers(pool, "layer a") == [b"two"]


async def test_more_layers_than_one_message_carries_reach_a_worker() -> None:
    files = [file_of(f"l{n}", "1", f"{n}".encode()) for n in range(200)]
    async with pool_of(1, layers=files) as pool:
        assert await answers(pool, "layer l0", "layer l63", "layer l64", "layer l199") == [
            b"0", b"63", b"64", b"199",
        ]  # fmt: skip


async def test_a_file_that_a_worker_refuses_leaves_the_old_one_everywhere() -> None:
    shelved, restarts = Shelved(), Restarts()
    files = [file_of("a", "1", b"one"), file_of("b", "1", b"b one")]
    async with pool_of(2, layers=files, shelved=shelved, restarts=restarts) as pool:
        put(pool, file_of("a", "2", b"bad"), file_of("b", "2", b"b two"))
        await until(lambda: shelved.nos)
        await until(lambda: not any(slot.is_behind() for slot in pool._slots))
        assert shelved.nos == [("a", "2", "a is damaged")]
        assert await seen_by_all(pool, "a") == {b"one"}
        assert await seen_by_all(pool, "b") == {b"b two"}
        assert restarts.seen == []


async def test_a_file_that_kills_workers_is_refused_and_costs_no_input() -> None:
    shelved, restarts = Shelved(), Restarts()
    files = [file_of("a", "1", b"one"), file_of("b", "1", b"b one")]
    async with pool_of(2, layers=files, shelved=shelved, restarts=restarts) as pool:
        put(pool, file_of("a", "2", b"fatal"), file_of("b", "2", b"b two"))
        assert len(await answers(pool, *["x"] * 50)) == 50
        await until(lambda: shelved.nos)
        await until(lambda: not any(slot.is_behind() for slot in pool._slots))
        assert [(name, version) for name, version, _ in shelved.nos] == [("a", "2")]
        assert await seen_by_all(pool, "a") == {b"one"}
        assert await seen_by_all(pool, "b") == {b"b two"}
        assert restarts.reasons() == ["crash", "crash"]


async def test_a_worker_killed_while_it_takes_a_layer_up_is_not_the_layer_s_fault() -> None:
    shelved = Shelved()
    async with pool_of(1, layers=[file_of("a", "1", b"one")], shelved=shelved) as pool:
        pid = pool.stats()[0].pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        put(pool, file_of("a", "2", b"two"))
        await until(lambda: pool._shelf.is_trying)
        os.kill(pid, signal.SIGKILL)
        assert await answers(pool, "x") == [b"x"]
        await until(lambda: ("a", "2") in shelved.took)
        assert await answers(pool, "layer a") == [b"two"]
        assert shelved.nos == []


async def test_others_go_on_with_the_old_one_while_a_worker_takes_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("geoweir.pool.slot.START_S", 0.5)
    shelved = Shelved()
    async with pool_of(2, layers=[file_of("a", "1", b"one")], shelved=shelved) as pool:
        put(pool, file_of("a", "2", b"slow"))
        await until(lambda: pool._shelf.is_trying)
        for _ in range(20):
            assert await answers(pool, "layer a") == [b"one"]
        await until(lambda: shelved.nos)
        assert await seen_by_all(pool, "a") == {b"one"}


async def test_a_layer_that_leaves_no_memory_for_chunks_is_refused() -> None:
    shelved = Shelved()
    files = [file_of("a", "1", b"one")]
    async with pool_of(1, layers=files, memory=60_000_000, shelved=shelved) as pool:
        put(pool, file_of("a", "2", b"large"))
        await until(lambda: shelved.nos)
        assert "pool.memory" in shelved.nos[0][2]
        assert await answers(pool, "layer a") == [b"one"]
