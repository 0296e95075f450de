"""Faults of workers and of what they are given: b, g, n. How to read them: docs/reliability.md."""

from __future__ import annotations

import os
import random
import resource
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from faults.scene import Scene, open_scene, size
from faults.soak import Vitals, soak
from support.service import workers

pytestmark = [pytest.mark.faults, pytest.mark.mosquitto, pytest.mark.timeout(size(240, 1800))]

#: How long the soak is; ``make soak MINUTES=60`` says.
SOAK_S = 60 * float(os.environ.get("GEOWEIR_SOAK_MINUTES") or size(0, 2)) or 12.0

#: What a worker can't do with a property so, and what becomes of the input.
POISON: list[tuple[str, Mapping[str, Any]]] = [
    ("reconciled", {"do": "hang"}),
    ("reconciled", {"do": "segfault"}),
    ("rejected", {"polygon": 25_000}),
    ("reconciled", {"do": "eat"}),
]


def poison(every: int) -> Callable[[int], tuple[str, Mapping[str, Any]]]:
    """Of so many inputs one is poison, each kind in turn."""

    def mischief(number: int) -> tuple[str, Mapping[str, Any]]:
        is_poison = number % every == every // 2
        return POISON[number // every % len(POISON)] if is_poison else ("published", {})

    return mischief


def strike(pid: int, how: str) -> None:
    """Ends, stops, or refuses memory to a worker."""
    with suppress(ProcessLookupError):
        match how:
            case "SIGKILL":
                os.kill(pid, signal.SIGKILL)
            case "SIGSTOP":
                os.kill(pid, signal.SIGSTOP)
            case _:
                resource.prlimit(pid, resource.RLIMIT_DATA, (1_000_000, 1_000_000))


@pytest.mark.parametrize("how", ["SIGKILL", "SIGSTOP", "no memory"])
def test_b_workers_fail_in_the_middle_of_their_chunks(tmp_path: Path, how: str) -> None:
    times, dice = size(4, 40), random.Random(2)
    with open_scene(f"b workers: {how}", tmp_path) as scene:
        with scene.feeding(size(1500, 12_000), times * 1.0):
            for _ in range(times):
                time.sleep(dice.uniform(0.2, 0.8))  # the moment is what the dice vary
                busy = workers(scene.service)
                if busy:
                    strike(dice.choice(busy), how)
                with scene.recovery():
                    pass
        what = f"{times} workers, one after the other"
        verdict = scene.finish(may_be_reconciled=True, what=what)
        # What is reconciled was in a worker's hands both times; the rest of a chunk is saved.
        assert len(verdict.classes["reconciled"]) <= 64 * times
        assert scene.service.log().count("worker-restarted") >= (times if how == "SIGKILL" else 0)


def test_g_one_input_in_a_hundred_is_poison(tmp_path: Path) -> None:
    with open_scene("g poison at 1%", tmp_path) as scene:
        scene.sender.post(scene.inputs(size(1200, 20_000), mischief=poison(100)))
        with scene.recovery():
            pass
        what = "hang, segfault, polygon of 25,000 vertices, memory bomb in turn"
        verdict = scene.finish(may_be_reconciled=True, what=what)
        culprits = {name for name, due in scene.sent.items() if due == "reconciled"}
        # The time to look for culprits is bounded: beyond it their company goes with them, by name.
        assert culprits <= verdict.classes["reconciled"]


@pytest.mark.timeout(2 * SOAK_S + 600)
def test_n_a_soak_keeps_memory_descriptors_and_threads(tmp_path: Path) -> None:
    with open_scene("n soak", tmp_path, soak_configuration()) as scene:
        vitals = soak(scene, SOAK_S, poison(500), lambda: hit(scene))
        what = f"{SOAK_S / 60:.1f} min at half capacity with b, c, g; {vitals.summary()}"
        scene.finish(may_be_reconciled=True, drain_s=300 + SOAK_S / 2, what=what)
        judge(vitals)


def soak_configuration() -> dict[str, Any]:
    steps = [{"python": "mischief:slower"}, {"python": "mischief:obey"}]
    # On disk, or what is kept would look like growth.
    return {"streams": {"s": {"steps": steps}}, "state": {"path": "state.db"}}


def hit(scene: Scene) -> None:
    """Kills a worker."""
    found = workers(scene.service)
    if found:
        strike(random.choice(found), "SIGKILL")


def judge(vitals: Vitals) -> None:
    assert not any(sample.unaccounted for sample in vitals.samples)
    first, last = vitals.settled()[0], vitals.samples[-1]
    assert last.descriptors - first.descriptors <= 8, (first, last)
    assert last.threads - first.threads <= 4, (first, last)
    assert last.private - first.private < 20_000_000, (first, last)
