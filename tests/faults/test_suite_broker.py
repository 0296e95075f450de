"""Faults between the service and its broker: c, d, e, m. How to read them: docs/reliability.md."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.scene import Scene, open_scene, size
from support.brokers import Broker, needs_mqtt_5, open_mosquitto
from support.eventually import eventually

pytestmark = [pytest.mark.faults, pytest.mark.mosquitto, pytest.mark.timeout(size(240, 1800))]


def restart(scene: Scene, number: int) -> None:
    """Ends the broker and starts it again."""
    scene.broker.mosquitto.end(number)
    time.sleep(size(0, 5))
    scene.broker.mosquitto.start()
    with scene.recovery():
        pass


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_c_the_broker_is_ended_and_started_again(tmp_path: Path, protocol: str) -> None:
    config = {"mqtt": {"protocol": protocol}}
    times = size(2, 10)
    with open_scene(f"c broker ended, MQTT {protocol}", tmp_path, config) as scene:
        for _ in range(times):
            scene.sender.post(scene.inputs(size(700, 2000)))
            scene.wait_results(100)
            restart(scene, signal.SIGTERM)
        assert scene.service.stream("s")["returned"] > 0
        scene.finish(what=f"SIGTERM of mosquitto {times} times, with persistence")


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_c_the_broker_is_killed_after_it_has_saved_what_it_holds(
    tmp_path: Path, protocol: str
) -> None:
    times, config = size(2, 10), {"mqtt": {"protocol": protocol}}
    with open_scene(f"c broker killed, saved, MQTT {protocol}", tmp_path, config) as scene:
        for _ in range(times):
            scene.send(size(1000, 2000))
            saved(scene.broker)
            restart(scene, signal.SIGKILL)
        scene.finish(what=f"SIGKILL of mosquitto {times} times, each after a snapshot")


def saved(broker: Broker) -> None:
    """Waits until what the broker holds now is on its disk."""
    file = snapshot(broker)
    before = file.stat().st_mtime_ns if file.exists() else 0
    broker.mosquitto.signal(signal.SIGUSR1)
    eventually(lambda: file.exists() and file.stat().st_mtime_ns > before)


def snapshot(broker: Broker) -> Path:
    return broker.mosquitto.folder / "mosquitto.db"


@pytest.mark.parametrize("on_changes", [True, False])
def test_c_what_a_killed_broker_loses_is_no_older_than_its_last_snapshot(
    tmp_path: Path, on_changes: bool
) -> None:
    extra = f"autosave_on_changes {str(on_changes).lower()}\n"
    name = f"c broker killed, autosave_on_changes {str(on_changes).lower()}"
    with open_scene(name, tmp_path, extra=extra) as scene:
        times, windows = size(2, 10), []
        # A broker that has not saved the subscriptions yet would lose those, and all that follows.
        saved(scene.broker)
        for _ in range(times):
            scene.sender.post(scene.inputs(size(800, 2000)))
            scene.wait_results(100)
            file = snapshot(scene.broker)
            windows.append((file.stat().st_mtime - 1.0, len(scene.sender.connected)))
            restart(scene, signal.SIGKILL)

        def judge(lost: set[str]) -> None:
            # When it was taken, not when it was posted: on a busy machine that is seconds before.
            taken = {
                scene.sender.topics[mid].removeprefix("in/"): when
                for mid, when in scene.sender.acknowledged.items()
            }
            old = {
                name
                for name in lost
                # Until it connected again, the sender read what the killed one had said.
                if not any(
                    since <= taken[name] <= scene.sender.connected[n] for since, n in windows
                )
            }
            assert not old, (len(lost), [(one, taken[one]) for one in sorted(old)[:5]], windows)

        scene.finish(
            lost_by_broker=judge,
            what=f"SIGKILL of mosquitto {times} times; lost: by mosquitto, since its last snapshot",
        )


@pytest.mark.parametrize(
    "fault", ["reset", pytest.param("deafen", marks=pytest.mark.slow), "delay"]
)
def test_d_the_network_fails(tmp_path: Path, fault: str) -> None:
    times = size(1, 5)
    names = {"reset": "connections reset", "deafen": "half-open", "delay": "200 ms delay"}
    with open_scene(f"d {names[fault]}", tmp_path) as scene:
        for _ in range(times):
            scene.sender.post(scene.inputs(size(1500, 4000)))
            scene.wait_results(100)
            match fault:
                case "reset":
                    for _ in range(5):
                        scene.proxy.reset("geoweir-")
                        time.sleep(0.3)
                case "deafen":
                    scene.proxy.deafen("geoweir-")
                    time.sleep(1.0)  # what was on its way arrives
                case _:
                    scene.proxy.delay_s = 0.2
            with scene.recovery(90):
                pass
        scene.finish(what=f"{times} times; on both connections of the service")


@contextlib.contextmanager
def lossy_broker(folder: Path, percent: float) -> Iterator[Broker]:
    """A mosquitto behind a link that loses packets both ways; skips, by name, without."""
    name, near, far = "gwloss", "10.213.7.1", "10.213.7.2"

    def run(command: str) -> None:
        done = subprocess.run(command.split(), capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no link that loses packets here: {command}: {done.stderr.strip()[:100]}")

    inside = f"ip netns exec {name}"
    loss = f"-m statistic --mode random --probability {percent / 100} -j DROP"
    if shutil.which("ip") is None or shutil.which("iptables") is None:
        pytest.skip("no link that loses packets here: ip and iptables are missing")
    try:
        run(f"ip netns add {name}")
        run(f"ip link add {name}0 type veth peer name {name}1 netns {name}")
        run(f"ip addr add {near}/30 dev {name}0")
        run(f"ip link set {name}0 up")
        run(f"{inside} ip addr add {far}/30 dev {name}1")
        run(f"{inside} ip link set {name}1 up")
        run(f"{inside} ip link set lo up")
        run(f"{inside} iptables -A INPUT -i {name}1 {loss}")
        run(f"{inside} iptables -A OUTPUT -o {name}1 {loss}")
        with open_mosquitto(folder, host=far, inside=inside.split()) as broker:
            yield broker
    finally:
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
        subprocess.run(["ip", "link", "del", f"{name}0"], capture_output=True, check=False)


def test_d_one_packet_in_a_hundred_is_lost(tmp_path: Path) -> None:
    with (
        lossy_broker(tmp_path / "lossy", 1.0) as broker,
        open_scene("d 1% of packets lost", tmp_path, broker=broker) as scene,
    ):
        with scene.feeding(size(1500, 20_000), size(3, 60)):
            pass
        with scene.recovery():
            scene.send(10)
        scene.finish(what="iptables in a network namespace, both ways")


def test_e_outputs_are_refused_while_inputs_run(tmp_path: Path) -> None:
    away_s = size(3, 180)
    with open_scene("e output away", tmp_path) as scene:
        scene.send(100)
        scene.drain()
        scene.proxy.refuse("geoweir-out")
        with scene.feeding(size(2000, 30_000), away_s):
            pass
        # All who got no answer are with the service or at the broker: none has an outcome.
        assert scene.in_flight() > 0
        scene.proxy.allow("geoweir-out")
        with scene.recovery():
            pass
        scene.finish(what=f"the output connection refused for {away_s} s while input runs")


def test_m_the_reconciliation_topic_itself_is_refused(tmp_path: Path) -> None:
    needs_mqtt_5()
    access = tmp_path / "acl"
    access.write_text("topic readwrite #\ntopic deny geoweir/reconcile/#\n")
    extra = f"acl_file {access}\nmax_queued_messages 1000000\n"
    with open_scene("m reconcile topic refused", tmp_path, extra=extra) as scene:
        count = size(1500, 20_000)
        step = count // 5

        def mischief(number: int) -> tuple[str, dict[str, str]]:
            poison = number % step == 50
            return ("reconciled", {"do": "kill"}) if poison else ("published", {})

        scene.sender.post(scene.inputs(count, mischief=mischief))
        poison = {name for name, due in scene.sent.items() if due == "reconciled"}
        eventually(lambda: scene.missing() <= kept(scene), size(60, 300), scene.explain)
        named = kept(scene)
        assert poison <= named
        assert "geoweir/reconcile/s" in scene.service.log()  # the refusal, with its topic
        with scene.recovery():
            scene.send(10)
        scene.finish(
            named_elsewhere=named,
            may_be_reconciled=True,
            what="by the broker's access list; named by what was kept",
        )


def kept(scene: Scene) -> set[str]:
    """The reconciled inputs that the service keeps."""
    found = json.loads(scene.service.get("/api/kept?limit=1000"))["kept"]
    return {one["topic"].rpartition("/")[2] for one in found if one["outcome"] == "reconciled"}
