"""A small service around a pool, for tests that need a process of their own."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

if __name__ == "__main__":
    from faults.poolside import answers, descriptors, file_of, pool_of, processes_with, work
    from geoweir.pool.supervisor import STUCK_S, Pool


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text("latin-1").rpartition(")")[2].split()[1])


async def hold(act: str) -> None:
    async with pool_of(2) as pool:
        if act == "idle":
            print("held", flush=True)
            await asyncio.sleep(3600)
        slot = await pool.idle()
        running = asyncio.ensure_future(slot.run(work(act), deadline_s=3600))
        await answers(pool, "x")
        print("held", flush=True)
        await running


async def kills() -> None:
    async with pool_of(2) as pool:

        async def kill_some(count: int) -> None:
            for _ in range(count):
                ran = await (await pool.idle()).run(work("sleep 60"), deadline_s=0.001)
                assert ran.failure == "timeout", ran

        await kill_some(4)
        before = await settled(pool)
        await asyncio.gather(kill_some(100), kill_some(100))
        after = await settled(pool)
    print(f"{after[0] - before[0]} descriptors, {after[1] - before[1]} processes")


async def settled(pool: Pool) -> tuple[int, int]:
    """Descriptors and processes, while every slot has a worker that runs."""
    slots = [await pool.idle() for _ in pool.stats()]
    for slot in slots:
        assert (await slot.run(work("x"), deadline_s=20)).done is not None
    return descriptors(), len(all_processes())


def all_processes() -> list[int]:
    return processes_with("MARKER=" + os.environ["MARKER"])


async def inside() -> None:
    async with pool_of(1) as pool:
        for answer in await answers(pool, "modules", "environment"):
            print(answer.decode())
    assert "GEOWEIR_MQTT_PASSWORD" in os.environ


async def forkserver() -> None:
    async with pool_of(2, layers=[file_of("zones", "1", b"one")]) as pool:
        pid = pool.stats()[0].pid
        assert pid is not None
        os.kill(parent_of(pid), signal.SIGKILL)
        while any(stats.restarts == 0 for stats in pool.stats()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert await answers(pool, "layer zones") == [b"one"]
        print("ok")


async def stuck() -> None:
    """A forkserver that is stopped leaves a pool stuck only once there is no worker either."""
    async with pool_of(2) as pool:
        pids = [stats.pid for stats in pool.stats() if stats.pid is not None]
        server = parent_of(pids[0])
        os.kill(pids[0], signal.SIGKILL)
        while pool.stats()[0].restarts == 0 or pool.stats()[0].pid is None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        os.kill(server, signal.SIGSTOP)
        os.kill(pids[1], signal.SIGKILL)
        await asyncio.sleep(STUCK_S + 1)
        assert not pool.is_stuck()  # one worker is left
        os.kill(pool.stats()[0].pid or 0, signal.SIGKILL)
        while not pool.is_stuck():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        os.kill(server, signal.SIGCONT)
        while pool.is_stuck():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert await answers(pool, "x")
        print("ok")


if __name__ == "__main__":
    name, _, argument = sys.argv[1].partition(" ")
    asyncio.run(globals()[name](*([argument] if argument else [])))
