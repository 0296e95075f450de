"""Kills, a lost power supply and a full disk under a spill that is in use."""

from __future__ import annotations

import random
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from support.accounting import read
from support.brokers import Broker
from support.eventually import eventually
from support.mischief import write_mischief
from support.outside import Listener, Sender, point
from support.service import Geoweir


def configuration(broker: Broker, **spill: Any) -> dict[str, Any]:
    return {
        "mqtt": {"url": broker.url, "protocol": broker.protocol},
        "streams": {"s": {"subscribe": "in/#", "steps": [{"python": "mischief:slow"}]}},
        "queue": {"limit": 50, "when_full": "spill", "spill": {"path": "spill", **spill}},
        "pool": {"workers": 1, "chunk": 25},
    }


@pytest.fixture(autouse=True)
def module(tmp_path: Path) -> None:
    write_mischief(tmp_path)


def is_spilling(service: Geoweir) -> bool:
    return service.metric("geoweir_spill_messages") > 100


@pytest.mark.parametrize("seed", range(2))
def test_kills_while_inputs_are_spilled_lose_none(
    broker: Broker, tmp_path: Path, seed: int
) -> None:
    dice, count, rounds = random.Random(seed), 4000, 4
    with (
        Listener(broker) as listener,
        Sender(broker) as sender,
        Geoweir(configuration(broker), tmp_path) as service,
    ):
        for turn in range(rounds):
            sender.post((f"in/{n}", point(n)) for n in range(turn, count, rounds))
            eventually(lambda: is_spilling(service))
            time.sleep(dice.uniform(0.0, 0.3))  # the moment is what the seed varies
            service.kill()
            service.start()
        eventually(lambda: len(read(listener.heard, "s").published) == count, 90)
        eventually(lambda: service.stream("s")["in_flight"] == 0)
        read(listener.heard, "s").each_once(map(str, range(count)))
        assert service.account()["unaccounted"] == 0


def test_what_was_acknowledged_is_still_there_when_the_disk_lost_what_was_not_synced(
    broker: Broker, tmp_path: Path
) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler here")
    library = tmp_path / "synced.so"
    source = Path(__file__).parent.parent / "support" / "synced.c"
    subprocess.run(
        [compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True
    )
    count = 2000
    with (
        Listener(broker) as listener,
        Sender(broker) as sender,
        Geoweir(
            configuration(broker), tmp_path, environment={"LD_PRELOAD": str(library)}
        ) as service,
    ):
        sender.post((f"in/{n}", point(n)) for n in range(count))
        eventually(lambda: is_spilling(service))
        service.kill()
        lose_what_was_not_synced(tmp_path / "spill" / "s")
        service.environment.clear()
        service.start()
        eventually(lambda: len(read(listener.heard, "s").published) == count, 90)
        read(listener.heard, "s").each_once(map(str, range(count)))
        eventually(lambda: service.stream("s")["in_flight"] == 0)
        assert service.account()["unaccounted"] == 0


def lose_what_was_not_synced(folder: Path) -> None:
    """Puts each file back to what it was when it was last synced."""
    images = list(folder.glob("*.spill.synced"))
    assert images
    for path in folder.glob("*.spill"):
        image = path.with_name(f"{path.name}.synced")
        if image.exists():
            image.replace(path)
        else:
            path.unlink()
    for rest in (*folder.glob("*.synced"), *folder.glob("*.fresh"), folder / "head"):
        rest.unlink(missing_ok=True)


def test_a_disk_that_can_not_be_written_turns_to_back_pressure_and_back(
    broker: Broker, tmp_path: Path
) -> None:
    """A folder that is gone: no file can be begun in it until it is there again."""
    count = 1500
    with (
        Listener(broker) as listener,
        Sender(broker) as sender,
        Geoweir(configuration(broker), tmp_path) as service,
    ):
        (tmp_path / "spill" / "s").rename(tmp_path / "away")
        sender.post((f"in/{n}", point(n)) for n in range(count))
        eventually(lambda: "spill-failed" in service.log())
        assert service.account()["unaccounted"] == 0
        (tmp_path / "away").rename(tmp_path / "spill" / "s")
        eventually(lambda: len(read(listener.heard, "s").published) == count, 60)
        seen = read(listener.heard, "s")
        seen.each_once(map(str, range(count)))
        assert seen.order == [str(n) for n in range(count)]
