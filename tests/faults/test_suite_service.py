"""Faults of the service's own life: a, h, k, l, o. How to read them: docs/reliability.md."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from faults.scene import merged, open_scene, size
from support.eventually import eventually, nothing_for
from support.service import Geoweir

pytestmark = [pytest.mark.faults, pytest.mark.mosquitto, pytest.mark.timeout(size(240, 1800))]


def test_a_the_service_is_killed_at_random_moments_again_and_again(tmp_path: Path) -> None:
    kills, dice = size(3, 50), random.Random(1)
    with open_scene("a SIGKILL of the service", tmp_path) as scene:
        for _ in range(kills):
            scene.send(size(600, 800))
            time.sleep(dice.uniform(0.0, 0.3))  # the moment is what the dice vary
            scene.service.kill()
            with scene.recovery():
                scene.service.start()
        scene.finish(what=f"{kills} SIGKILL in a row, start again at once")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_h_an_orderly_end_under_load_leaves_each_input_done_or_at_the_broker(
    tmp_path: Path, number: int
) -> None:
    times = size(1, 20)
    with open_scene(f"h {signal.Signals(number).name} under load", tmp_path) as scene:
        for _ in range(times):
            scene.send(size(1500, 2000))
            scene.wait_results(100)
            scene.service.signal(number)
            assert scene.service.wait(20) == 0
            assert "unaccounted=0 in_flight=0" in scene.service.log()
            with scene.recovery():
                scene.service.start()
        verdict = scene.finish(what=f"{times} times, start again")
        # In order means also: what was published is acknowledged, and does not come again.
        assert verdict.repeats == 0


def test_k_ten_thousand_inputs_that_wait_at_the_broker_are_all_done_in_order(
    tmp_path: Path,
) -> None:
    quick = {"streams": {"s": {"steps": [{"python": "mischief:obey"}]}}}
    with open_scene("k inputs waiting at the start", tmp_path, quick) as scene:
        assert scene.service.stop() == 0
        scene.send(size(10_000, 50_000))
        with scene.recovery():
            scene.service.start()
        verdict = scene.finish(what="all sent while the service was away")
        assert verdict.repeats == 0
        due = [name for name, outcome in scene.sent.items() if outcome == "published"]
        assert list(scene.book.keys["published"]) == due  # in order, too


def test_l_a_window_that_is_full_of_unacknowledged_inputs_is_taken_up_again(tmp_path: Path) -> None:
    window = size(500, 2000)
    config = {"mqtt": {"receive_window": window}}
    with open_scene("l the whole window unacknowledged", tmp_path, config) as scene:
        scene.send(100)
        scene.drain()
        scene.proxy.hold("geoweir-out")
        scene.send(size(2000, 20_000))
        # What is filtered has its outcome, and is behind what has none.
        eventually(lambda: scene.in_flight() >= 0.9 * window, size(30, 120), scene.explain)
        nothing_for(size(1, 15), scene.in_flight)
        scene.service.kill()
        scene.proxy.release("geoweir-out")
        with scene.recovery():
            scene.service.start()
        scene.finish(what=f"window of {window} full, service killed, started again")


def test_o_one_of_two_services_on_a_shared_subscription_is_killed(tmp_path: Path) -> None:
    shared = {"streams": {"s": {"subscribe": "$share/g/in/#"}}}
    with open_scene("o two services, one killed", tmp_path, shared) as scene:
        (tmp_path / "second").mkdir()
        config = merged(
            scene.config, {"mqtt": {"client_id": "second"}, "http": {"listen": "127.0.0.1:0"}}
        )
        (tmp_path / "second" / "mischief.py").write_text((tmp_path / "mischief.py").read_text())
        with Geoweir(config, tmp_path / "second") as second:
            for _ in range(size(1, 10)):
                with scene.feeding(size(1500, 3000), 3):
                    scene.wait_results(200)
                    second.kill()
                    scene.wait_results(100)
                    with scene.recovery():
                        second.start()
            scene.drain()
            scene.finish(others=[second], what="one killed and started again")
