"""Faults in containers: dying workers, a broker that is killed, and an end under load.

They end in the account, and in what a consumer outside has heard: each id at least once, and a
repeat only under the same key.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from support.boxes import Box, boxes
from support.containers import Engine
from support.eventually import eventually
from support.outside import Listener, Sender, point

pytestmark = [pytest.mark.container, pytest.mark.timeout(300)]

COUNT = 1000
CONFIG: dict[str, Any] = {
    "streams": {"buses": {"subscribe": "buses/+"}},
    "pool": {"workers": 2, "timeout": "2s"},
    "shutdown_grace": "5s",
}
#: A worker is a grandchild of the service: the forkserver is between them.
WORKERS = """
read -r service </proc/1/task/1/children
for child in $(cat /proc/$service/task/*/children); do
  workers="$workers $(cat /proc/$child/task/*/children)"
done
"""


@pytest.fixture(scope="module")
def box(engine: Engine, image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with boxes(engine, image, tmp_path_factory.mktemp("box"), CONFIG) as box:
        yield box


def post(sender: Sender, name: str) -> None:
    sender.post((f"buses/{i % 7}", point(f"{name}-{i}")) for i in range(COUNT))


def named(listener: Listener, name: str) -> set[str]:
    """The ids with a result or in a reconciliation."""
    results = {m.topic.rpartition("/")[2] for m in listener.on(f"geoweir/buses/{name}-")}
    drops = (i for m in listener.on("geoweir/reconcile/") for i in m.body["ids"])
    return results | {i for i in drops if i.startswith(f"{name}-")}


def ends_in_the_account(box: Box, listener: Listener, name: str) -> None:
    eventually(lambda: len(named(listener, name)) == COUNT, 90, lambda: len(named(listener, name)))
    eventually(lambda: not box.get("/api/account")["streams"]["buses"]["in_flight"], 30)
    assert box.get("/api/account")["unaccounted"] == 0


@pytest.mark.parametrize("number", ["KILL", "STOP"])
def test_b_workers_die_in_the_middle_of_chunks(box: Box, number: str) -> None:
    eventually(box.is_ready, 60, box.log)
    name = f"b{number}"
    with Listener(box.broker) as listener, Sender(box.broker) as sender:
        post(sender, name)
        for _ in range(3):
            box.in_box(f"{WORKERS} kill -{number} $workers || true")
        ends_in_the_account(box, listener, name)
    assert "worker-restarted" in box.log()


def test_c_the_broker_is_killed_and_comes_back(box: Box) -> None:
    eventually(box.is_ready, 60, box.log)
    with Listener(box.broker) as listener, Sender(box.broker) as sender:
        post(sender, "c")
        eventually(lambda: len(named(listener, "c")) > 50)
        # What mosquitto itself loses at SIGKILL is not ours: it may save first.
        box.mosquitto.stop(timeout=20)
        box.mosquitto.start()
        eventually(box.is_ready, 60, box.log)
        ends_in_the_account(box, listener, "c")


def test_h_it_is_ended_under_load_and_started_again(box: Box) -> None:
    eventually(box.is_ready, 60, box.log)
    with Listener(box.broker) as listener, Sender(box.broker) as sender:
        post(sender, "h")
        eventually(lambda: len(named(listener, "h")) > 50)
        box.geoweir.stop(timeout=30)
        box.geoweir.reload()
        assert box.geoweir.attrs["State"]["ExitCode"] == 0
        box.geoweir.start()
        eventually(box.is_ready, 60, box.log)
        ends_in_the_account(box, listener, "h")
