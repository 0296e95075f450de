"""A deadline counts only the time in which its worker had a processor, or slept."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import cast

import pytest

from geoweir.pool.job import Job
from geoweir.pool.process import Cause, WorkerProcess
from geoweir.pool.waiting import RunQueue
from support.eventually import eventually


class Worker:
    """Says, each time it is asked, how long it has waited for a processor."""

    def __init__(self, *waited_s: float) -> None:
        self.left = list(waited_s)
        self.killed = asyncio.Event()
        self.cause: Cause | None = None

    def waited_s(self) -> float:
        return self.left.pop(0) if len(self.left) > 1 else self.left[0]

    def kill(self, cause: Cause) -> None:
        self.cause = cause
        self.killed.set()


async def until_killed(worker: Worker, *, limit_s: float, most_s: float) -> Job:
    job = Job(
        cast("WorkerProcess", worker), 1, inputs=1, each=False, limit_s=limit_s, most_s=most_s
    )
    async with asyncio.timeout(5):
        await worker.killed.wait()
    return job


async def test_a_worker_with_a_processor_of_its_own_has_the_limit() -> None:
    worker = Worker(3.0, 3.0, -1.0)
    await until_killed(worker, limit_s=0.05, most_s=60)
    assert worker.left == [-1.0]
    assert worker.cause is not None
    assert worker.cause.reason == "timeout"


async def test_what_it_waited_for_a_processor_is_put_on_top() -> None:
    worker = Worker(3.0, 3.04, 3.04, -1.0)
    job = await until_killed(worker, limit_s=0.05, most_s=60)
    assert worker.left == [-1.0]
    assert job.run_s() >= 0.09


async def test_that_has_a_bound() -> None:
    worker = Worker(0.0, 1e9)
    job = await until_killed(worker, limit_s=0.05, most_s=0.1)
    assert job.run_s() >= 0.09


def test_the_kernel_says_what_two_on_one_processor_waited() -> None:
    if not os.path.exists("/proc/self/schedstat"):  # noqa: PTH110 - a pseudo file
        pytest.skip("a kernel without scheduler statistics")
    one = min(os.sched_getaffinity(0))
    spin = f"import os\nos.sched_setaffinity(0, {{{one}}})\nwhile True: pass"
    both = [subprocess.Popen([sys.executable, "-c", spin]) for _ in range(2)]
    queues = [RunQueue(process.pid) for process in both]
    try:
        eventually(lambda: all(queue.waited_s() > 0.05 for queue in queues))
    finally:
        for process, queue in zip(both, queues, strict=True):
            process.kill()
            process.wait()
            queue.close()
        assert queues[0].waited_s() == 0.0


def test_a_process_that_is_not_there_has_waited_for_nothing() -> None:
    assert RunQueue(2**22 + 1).waited_s() == 0.0
