"""Faults of disk and clock, and changes while it runs: f, i, j. See docs/reliability.md."""

from __future__ import annotations

import itertools
import json
import random
import shutil
import signal
import struct
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from faults.scene import Scene, full, merged, open_scene, size
from geoweir.core.kept import Selection
from geoweir.store.reading import open_for_reading
from support.disks import enlarge, small_disk
from support.eventually import eventually
from support.preload import compile_preload
from support.zones import write_square

pytestmark = [pytest.mark.faults, pytest.mark.mosquitto, pytest.mark.timeout(size(240, 1800))]


def junk(every: int, length: int) -> dict[str, Any]:
    """Makes some inputs no JSON, of a length."""

    def mischief(number: int) -> tuple[str, Mapping[str, Any]]:
        return ("rejected", {"junk": length}) if number % every == 0 else ("published", {})

    return {"mischief": mischief}


def store(scene: Scene) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(scene.service.get("/api/state"))["store"]
    return found


def test_f_a_full_disk_costs_the_keeping_and_not_one_outcome(tmp_path: Path) -> None:
    config = {"state": {"path": "disk/state.db"}}
    with (
        small_disk(tmp_path / "disk", "4m" if full() else "1m") as disk,
        open_scene("f disk full", tmp_path, config) as scene,
    ):
        scene.send(size(1500, 20_000), **junk(4, 6000))
        scene.drain()
        for _ in range(50):  # a last small one may have found room
            if not store(scene)["works"]:
                break
            scene.send(10, **junk(1, 6000))
            scene.drain()
        state = store(scene)
        assert not state["works"]
        assert state["detail"].startswith("full: ")
        lost = scene.service.metric("geoweir_not_kept_total", reason="full")
        rejected = scene.service.stream("s")["rejected"]
        assert lost > 0
        # Lost are names only: each was told to the consumer.
        assert lost + state["messages"] == rejected
        assert scene.service.metric("geoweir_store_up") == 0
        assert scene.service.get("/readyz")  # it does its work
        enlarge(disk)
        with scene.recovery():
            scene.send(100)
        eventually(lambda: store(scene)["works"])
        assert "store-failed" in scene.service.log()
        assert "store-works" in scene.service.log()
        scene.finish(what="the store's file system full, then enlarged")


@pytest.mark.parametrize("tail", ["lost", "torn"])
def test_f_a_power_cut_loses_what_was_not_synced_and_nothing_that_was_told(
    tmp_path: Path, tail: str
) -> None:
    library, dice, times = compile_preload("synced", tmp_path), random.Random(3), size(2, 20)
    config = {"state": {"path": "state.db"}}
    preload = {"LD_PRELOAD": str(library)}
    name = f"f power cut, tail {tail}"
    with open_scene(name, tmp_path, config, environment=preload) as scene:
        for _ in range(times):
            scene.send(size(700, 1000), **junk(4, 300))
            scene.wait_results(100)
            time.sleep(dice.uniform(0.0, 0.2))  # the moment is what the dice vary
            scene.service.kill()
            cut_power(tmp_path / "state.db", dice if tail == "torn" else None)
            with scene.recovery():
                scene.service.start()
        scene.finish(what=f"SIGKILL {times} times, and the files as fsync left them")
        due = {name for name, outcome in scene.sent.items() if outcome == "rejected"}
    with open_for_reading(tmp_path / "state.db") as table:
        kept = {one.topic.removeprefix("in/") for one in table.find(Selection(), 10**6)}
    assert due <= kept, sorted(due - kept)[:5]
    assert "store-damaged" not in scene.service.log()


def cut_power(path: Path, dice: random.Random | None) -> None:
    """Leaves of a database what was synced, and with dice half of a write after it."""
    for suffix in ("", "-wal"):
        file, synced = Path(f"{path}{suffix}"), Path(f"{path}{suffix}.synced")
        if not synced.exists():
            file.unlink(missing_ok=True)
            continue
        unsynced = file.read_bytes()[synced.stat().st_size :] if file.exists() else b""
        shutil.copy(synced, file)
        if dice is not None and suffix:
            torn = unsynced[: len(unsynced) // 2] + dice.randbytes(3000)
            with file.open("ab") as log:
                log.write(torn)
    Path(f"{path}-shm").unlink(missing_ok=True)


def test_i_layers_are_replaced_under_load(tmp_path: Path) -> None:
    join = {"join": {"layer": "zones", "attach": ["tag"]}}
    steps = [join, {"python": "mischief:slow"}, {"python": "mischief:obey"}]
    config = {
        "layers": {"zones": {"path": "zones.gwl", "check": "100ms"}},
        "streams": {"s": {"steps": steps}},
    }
    swaps = size(5, 100)
    write_square(tmp_path / "zones.gwl", "t0")
    with open_scene("i layers replaced", tmp_path, config) as scene:
        versions = set()
        with scene.feeding(size(1500, 20_000), swaps * 0.6):
            for number in range(swaps):
                version = write_square(tmp_path / "zones.gwl", f"t{number + 1}")
                with scene.recovery():
                    eventually(lambda v=version: in_use(scene, v), 30)  # type: ignore[misc]
                versions.add(version)
        scene.finish(what=f"{swaps} layers, one after the other")
        assert len(versions) == swaps
        assert scene.service.log().count("worker-restarted") == 0


def test_i_the_configuration_is_changed_under_load(tmp_path: Path) -> None:
    reloads = size(2, 20)
    with open_scene("i configuration changed", tmp_path) as scene:
        with scene.feeding(size(1500, 20_000), reloads * 4):
            for number in range(reloads):
                changed = merged(json.loads(scene.service.file.read_text()), chunks(32 + number))
                with scene.recovery():
                    scene.service.configure(changed)
                    scene.service.signal(signal.SIGHUP)
                    eventually(lambda n=number: lives(scene) == n + 2, 60)  # type: ignore[misc]
        scene.finish(what=f"SIGHUP {reloads} times, each with another configuration")
        assert scene.service.log().count(" reloaded") == reloads


def chunks(most: int) -> dict[str, Any]:
    return {"pool": {"chunk": most}}


def lives(scene: Scene) -> int:
    return scene.service.output().count("geoweir is ready")


def in_use(scene: Scene, version: str) -> bool:
    return scene.service.metric("geoweir_layer_info", layer="zones", version=version) == 1


def test_j_the_clock_is_stepped_an_hour_each_way(tmp_path: Path) -> None:
    library, offset = compile_preload("clock", tmp_path), tmp_path / "offset"
    offset.write_bytes(struct.pack("l", 0))
    preload = {"LD_PRELOAD": str(library), "CLOCK_OFFSET_FILE": str(offset)}
    config = {"state": {"path": "state.db"}}
    steps = itertools.islice(itertools.cycle([3600, 0, -3600, 0]), size(4, 40))
    with open_scene("j clock stepped", tmp_path, config, environment=preload) as scene:
        with scene.feeding(size(1500, 20_000), size(4, 40)):
            for step in steps:
                with offset.open("r+b") as file:
                    file.write(struct.pack("l", step))
                with scene.recovery():
                    time.sleep(0.5)
                moved = clock_of(scene) - time.time()
                assert abs(moved - step) < 60, (moved, step)
        verdict = scene.finish(what="an hour forth and back, and back and forth")
        assert verdict.repeats == 0


def clock_of(scene: Scene) -> float:
    """Unix seconds, as the last result has them."""
    return datetime.fromisoformat(scene.book.received).timestamp()
