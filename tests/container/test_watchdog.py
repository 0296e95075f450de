"""``--restart=always`` and the image's first process: what stands still is live again in seconds.

The bar of ten seconds is measured (docs/watchdog.md), not asserted: other tests run beside it.

Restricted as in production: read-only root, no capabilities, 512 MB without swap.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from support.blocking import BLOCKER, FILE
from support.boxes import Box, boxes
from support.containers import Engine, run_python
from support.eventually import eventually
from support.outside import Listener, Sender, point

pytestmark = [pytest.mark.container, pytest.mark.timeout(300)]

#: The pool's deadline and the watchdog's times are the defaults.
CONFIG: dict[str, Any] = {
    "streams": {"buses": {"subscribe": "buses/+"}},
    "pool": {"workers": 2},
    "shutdown_grace": "5s",
}
#: Leaves the service without workers, and without anybody who would make new ones: it stops the
#: child of the service that has children, and kills these.
STOP_POOL = """
read -r service </proc/1/task/1/children
for child in $(cat /proc/$service/task/*/children); do
  workers=$(cat /proc/$child/task/*/children)
  if [ -n "$workers" ]; then kill -STOP $child; kill -KILL $workers; fi
done
"""


@pytest.fixture(scope="module")
def box(engine: Engine, image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    site = run_python(engine, image, "import sysconfig; print(sysconfig.get_path('purelib'))")
    folder = tmp_path_factory.mktemp("box")
    with boxes(engine, image, folder, CONFIG, files={f"{site}/{FILE}": BLOCKER}) as box:
        yield box


def stand_still(box: Box, fault: str) -> None:
    if fault == "pool":
        box.in_box(STOP_POOL)
    else:
        box.kill_service("STOP" if fault == "stopped" else "USR2")


@pytest.mark.parametrize("fault", ["stopped", "blocked", "pool"])
def test_a_service_that_stands_still_is_live_again(box: Box, fault: str) -> None:
    eventually(box.is_ready, 60, box.log)
    restarts, said = box.restarts(), len(box.log())
    with Listener(box.broker) as listener, Sender(box.broker) as sender:
        sender.send((f"buses/{i}", point(f"{fault}-a{i}")) for i in range(50))
        listener.wait(50, f"geoweir/buses/{fault}-a")
        stand_still(box, fault)
        since = time.monotonic()
        sender.send((f"buses/{i}", point(f"{fault}-b{i}")) for i in range(50))
        eventually(lambda: box.restarts() > restarts and box.is_live(), 30, box.log)
        took_s = time.monotonic() - since
        listener.wait(50, f"geoweir/buses/{fault}-b")
    print(f"{fault}: live again after {took_s:.1f} s")
    eventually(lambda: box.settled() >= 50)
    account = box.get("/api/account")
    assert account["unaccounted"] == 0
    assert account["streams"]["buses"]["in_flight"] == 0
    assert "Fatal Python error: Aborted" in box.log()[said:]


def test_a_broker_that_is_away_restarts_nothing(box: Box) -> None:
    eventually(box.is_ready, 60, box.log)
    restarts = box.restarts()
    box.mosquitto.pause()
    time.sleep(8)
    box.mosquitto.unpause()
    eventually(box.is_ready, 60, box.log)

    assert box.restarts() == restarts


def test_the_health_check_knows_what_the_first_process_knows(box: Box) -> None:
    eventually(box.is_ready, 60, box.log)

    assert box.in_box("geoweir-init -H").startswith("live, last sign of life ")


def test_a_container_that_was_paused_as_a_whole_is_not_ended(box: Box) -> None:
    eventually(box.is_ready, 60, box.log)
    restarts = box.restarts()
    box.geoweir.pause()
    time.sleep(8)  # longer than the watchdog waits
    box.geoweir.unpause()
    eventually(box.is_live, 10, box.log)
    time.sleep(2)

    assert box.restarts() == restarts
