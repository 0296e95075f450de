"""Start, end and what is left of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from faults.poolside import answers, descriptors, file_of, pool_of, processes_with, work
from geoweir.errors import WorkerError
from geoweir.pool.ran import Failure

TESTS = Path(__file__).parents[1]
PROGRAM = Path(__file__).with_name("pool_service.py")


def service(act: str, marker: str = "", **environment: str) -> subprocess.Popen[str]:
    """A service of its own, with its own forkserver and a light main module."""
    path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return subprocess.Popen(
        [sys.executable, PROGRAM, act],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment, "PYTHONPATH": path, "MARKER": marker},
    )


def outcome(act: str, **environment: str) -> str:
    with service(act, **environment) as process:
        output, _ = process.communicate(timeout=100)
        assert process.returncode == 0, output
        return output


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("bad", "layer zones: zones is damaged"),
        ("fatal", "did not become ready: the worker ended: exit status 3"),
    ],
)
async def test_a_worker_that_cannot_start_says_why(layer: str, message: str) -> None:
    with pytest.raises(WorkerError, match=message):
        async with pool_of(2, layers=[file_of("zones", "1", layer.encode())]):
            pass


async def test_a_cap_that_leaves_no_room_is_refused_at_the_start() -> None:
    with pytest.raises(WorkerError, match=r"raise pool\.memory"):
        async with pool_of(1, memory=5_000_000):
            pass


async def test_close_lets_a_running_chunk_finish_within_its_grace() -> None:
    async with pool_of(2) as pool:
        slots = [await pool.idle(), await pool.idle()]
        runs = [
            asyncio.ensure_future(slot.run(work(act), deadline_s=60))
            for slot, act in zip(slots, ["sleep 0.3", "sleep 3600"], strict=True)
        ]
        await asyncio.sleep(0)
        waiting = asyncio.ensure_future(pool.idle())
        await asyncio.sleep(0)
        await pool.close(1.5)
        short, long = await asyncio.gather(*runs)
        assert short.failure is None
        assert long.failure is Failure.SHUTDOWN
        with pytest.raises(WorkerError, match="closed"):
            await waiting
        with pytest.raises(WorkerError, match="closed"):
            await pool.idle()


async def test_a_slot_that_was_reserved_before_close_runs_nothing() -> None:
    async with pool_of(1) as pool:
        slot = await pool.idle()
        await pool.close(0)
        assert (await slot.run(work("x"), deadline_s=5)).failure is Failure.SHUTDOWN


async def test_a_slot_given_back_twice_is_still_one_slot() -> None:
    async with pool_of(1) as pool:
        slot = await pool.idle()
        assert (await slot.run(work("x"), deadline_s=20)).done is not None
        slot.release()
        assert await pool.idle() is slot
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pool.idle(), 0.05)
        slot.release()
        assert await pool.idle() is slot


async def test_slots_are_given_in_the_order_of_asking_and_never_lost_to_a_cancelled_one() -> None:
    async with pool_of(1) as pool:
        slot = await pool.idle()
        order: list[int] = []

        async def take(number: int) -> None:
            mine = await pool.idle()
            order.append(number)
            mine.release()

        tasks = [asyncio.ensure_future(take(number)) for number in range(4)]
        await asyncio.sleep(0)
        slot.release()
        tasks[0].cancel()  # in the moment in which it got the slot
        await asyncio.gather(*tasks, return_exceptions=True)
        assert order == [1, 2, 3]


@pytest.mark.parametrize("act", ["idle", "sleep 3600", "spin"])
def test_workers_leave_when_the_service_is_killed(act: str) -> None:
    marker = uuid.uuid4().hex
    with service(f"hold {act}", marker) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert len(processes_with(marker)) >= 4  # service, forkserver and two workers
        process.send_signal(signal.SIGKILL)
    patience = time.monotonic() + 30
    while left := processes_with(marker):
        assert time.monotonic() < patience, f"still there: {left}"
        time.sleep(0.01)  # there is nothing to wait on: these are no children of this process


def test_two_hundred_kills_leak_nothing() -> None:
    assert outcome("kills") == "0 descriptors, 0 processes\n"


def test_t26_a_worker_has_no_part_of_the_service_and_no_secret() -> None:
    secrets = dict.fromkeys(("GEOWEIR_MQTT_PASSWORD", "MY_TOKEN", "NOTIFY_SOCKET"), "x")
    modules, environment = outcome("inside", **secrets).splitlines()
    roots = {".".join(name.split(".")[:2]) for name in modules.split()}
    assert not roots & {
        "aiomqtt", "paho", "pydantic", "prometheus_client", "aiohttp", "geoweir.app",
        "geoweir.settings", "geoweir.stages", "geoweir.pool.supervisor",
    }  # fmt: skip
    assert {"numpy", "shapely"} <= set(modules.split())
    names = set(environment.split())
    assert not names & set(secrets)
    assert {"PROJ_NETWORK", "OPENBLAS_NUM_THREADS"} <= names


def test_the_pool_survives_its_forkserver() -> None:
    assert outcome("forkserver") == "ok\n"


def test_a_pool_is_stuck_where_there_is_no_worker_and_nobody_to_make_one() -> None:
    assert outcome("stuck") == "ok\n"


async def test_a_closed_pool_leaves_no_descriptor() -> None:
    async with pool_of(1) as pool:
        await answers(pool, "x")
    before = descriptors()
    for _ in range(3):
        async with pool_of(2) as pool:
            await answers(pool, "x")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for((await pool.idle()).run(work("spin"), deadline_s=9), 0.05)
    assert descriptors() == before
