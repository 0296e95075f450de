"""A failing worker costs its own chunk and nothing else."""

from __future__ import annotations

import asyncio
import os
import pickle  # noqa: TID251 - what a worker that was taken over might send
import signal
import time

import pytest

from faults.poolside import Restarts, answers, pool_of, work
from geoweir.pool.frames import LENGTH
from geoweir.pool.ran import Failure


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.system, ("touch exploded",))


BOMB = pickle.dumps(Bomb())
FATAL = [
    ("segfault", Failure.CRASH, "crash", "SIGSEGV"),
    ("exit", Failure.CRASH, "crash", "exit status 7"),
    ("kill", Failure.CRASH, "crash", "SIGKILL"),
    ("sleep 3600", Failure.TIMEOUT, "timeout", "no answer"),
    ("spin", Failure.TIMEOUT, "timeout", "no answer"),
    ("stop", Failure.TIMEOUT, "timeout", "no answer"),
    ("eat", Failure.MEMORY, "memory", "private memory"),
    ("refuse-memory", Failure.MEMORY, "memory", "MemoryError"),
    ("say " + BOMB.hex(), Failure.CRASH, "crash", ""),
    ("say " + (LENGTH.pack(len(BOMB)) + BOMB).hex(), Failure.CRASH, "crash", "no reply"),
    ("say ffffffff", Failure.CRASH, "crash", "announced"),
    ("say 00000000", Failure.CRASH, "crash", "no reply"),
]


@pytest.mark.parametrize(("act", "failure", "reason", "detail"), FATAL)
async def test_a_fatal_chunk_fails_alone_and_its_slot_comes_back(
    act: str, failure: Failure, reason: str, detail: str
) -> None:
    restarts = Restarts()
    async with pool_of(2, restarts=restarts) as pool:
        culprit, innocent = await pool.idle(), await pool.idle()
        # Memory has its own, shorter way; the rest has a deadline that ends the test soon.
        deadline_s = 20.0 if failure is Failure.MEMORY else 0.4
        going_on = asyncio.ensure_future(innocent.run(work("sleep 1"), deadline_s=20))
        bad = await culprit.run(work("a", act, "b"), deadline_s=deadline_s)
        began = time.monotonic()
        again = await pool.idle()
        print(f"{act[:20]}: idle again after {1000 * (time.monotonic() - began):.0f} ms")
        assert (bad.failure, bad.done) == (failure, None)
        assert detail in bad.detail
        assert (await again.run(work("a"), deadline_s=20)).done is not None
        assert (await going_on).done is not None
        slots = [await pool.idle(), await pool.idle()]
        assert {slot.index for slot in slots} == {0, 1}
    assert restarts.reasons() == [reason]


@pytest.mark.parametrize("act", ["raise", "panic", "system-exit"])
async def test_an_exception_fails_the_chunk_but_not_the_worker(act: str) -> None:
    restarts = Restarts()
    async with pool_of(1, restarts=restarts) as pool:
        before = await answers(pool, "pid")
        ran = await (await pool.idle()).run(work(act), deadline_s=20)
        assert ran.failure is Failure.CRASH
        assert await answers(pool, "pid") == before
    assert restarts.seen == []


@pytest.mark.parametrize(("act", "failure", "_reason", "_detail"), FATAL[:9])
async def test_a_careful_run_names_the_first_culprit_and_saves_those_before_it(
    act: str, failure: Failure, _reason: str, _detail: str
) -> None:
    async with pool_of(1) as pool:
        slot = await pool.idle()
        stall_s = 20.0 if failure is Failure.MEMORY else 0.4
        ran = await slot.run_each(work("a", "b", act, "c"), stall_s=stall_s)
        assert ran.failure is failure
        assert [done.messages[0].payload for done in ran.done] == [b"a", b"b"]
        assert await answers(pool, "x") == [b"x"]


async def test_a_careful_run_has_its_time_for_each_input_not_for_all() -> None:
    async with pool_of(1) as pool:
        slot = await pool.idle()
        ran = await slot.run_each(work(*["sleep 0.3"] * 5), stall_s=1.2)
        assert (ran.failure, len(ran.done)) == (None, 5)
        assert ran.run_s > 1.2


async def test_a_worker_killed_while_idle_harms_nobody() -> None:
    restarts = Restarts()
    async with pool_of(1, restarts=restarts) as pool:
        for _ in range(4):
            slot = await pool.idle()
            pid = pool.stats()[0].pid
            assert pid is not None
            os.kill(pid, signal.SIGSTOP)  # so that it dies with the chunk before it, unread
            run = asyncio.ensure_future(slot.run(work("pid"), deadline_s=20))
            await asyncio.sleep(0)
            os.kill(pid, signal.SIGKILL)
            ran = await run
            assert ran.done is not None, ran
            assert ran.done.messages[0].payload != str(pid).encode()
    assert restarts.reasons() == ["crash"] * 4


async def test_a_childs_hold_on_the_socket_does_not_hide_the_workers_end() -> None:
    async with pool_of(1) as pool:
        ran = await (await pool.idle()).run(work("leave-child", "kill"), deadline_s=20)
        assert ran.failure is Failure.CRASH
        assert await answers(pool, "x") == [b"x"]


async def test_a_deadline_racing_the_answer_gives_one_result() -> None:
    seen = {None: 0, Failure.TIMEOUT: 0}
    async with pool_of(2) as pool:
        await answers(pool, "a")

        async def race(step: int) -> None:
            ran = await (await pool.idle()).run(
                work("sleep 0.01"), deadline_s=0.009 + 0.0002 * (step % 16)
            )
            assert (ran.done is None) == (ran.failure is Failure.TIMEOUT)
            assert ran.failure in seen
            seen[ran.failure] += 1

        await asyncio.gather(*(race(step) for step in range(160)))
        assert sum(seen.values()) == 160
        assert await answers(pool, "x") == [b"x"]
    print(f"answered {seen[None]}, timed out {seen[Failure.TIMEOUT]}")


async def test_a_cancelled_run_ends_its_worker_and_frees_the_slot() -> None:
    restarts = Restarts()
    async with pool_of(1, restarts=restarts) as pool:
        slot = await pool.idle()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(slot.run(work("sleep 3600"), deadline_s=3600), 0.1)
        assert await answers(pool, "x") == [b"x"]
    assert restarts.reasons() == ["recycle"]


async def test_a_worker_that_keeps_much_is_recycled_between_chunks() -> None:
    restarts = Restarts()
    async with pool_of(1, memory=60_000_000, restarts=restarts) as pool:
        first = await answers(pool, "pid")
        assert await answers(pool, "keep 46000000") == [b"keep 46000000"]
        assert await answers(pool, "pid") != first
    assert restarts.reasons() == ["recycle"]


async def test_t27_a_worker_runs_with_the_limits_it_should_have() -> None:
    async with pool_of(1) as pool:
        (status,) = await answers(pool, "status")
    lines = {line.split(b"  ")[0]: line.split() for line in status.splitlines()}
    assert lines[b"Max core file size"][4:6] == [b"0", b"0"]
    assert 3e8 < int(lines[b"Max data size"][3]) < 2e9
    assert b"oom_score_adj 800" in status


async def test_a_careful_run_does_not_take_the_last_worker_while_another_is_replaced() -> None:
    async with pool_of(2) as pool:
        failed, other = await pool.idle(), await pool.idle()
        assert (await failed.run(work("kill"), deadline_s=20)).failure is Failure.CRASH
        careful = asyncio.ensure_future(pool.idle(careful=True))
        await asyncio.sleep(0)
        other.release()
        # Offered first, and left to others: the careful one gets the worker that comes up.
        assert (await pool.idle()).index == other.index
        assert (await careful).index == failed.index


async def test_a_careful_run_takes_the_only_worker_there_is() -> None:
    async with pool_of(1) as pool:
        assert (await (await pool.idle()).run(work("kill"), deadline_s=20)).failure is Failure.CRASH
        slot = await pool.idle(careful=True)
        assert (await slot.run_each(work("a"), stall_s=20)).failure is None
