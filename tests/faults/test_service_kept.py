"""What a service kept, through its own sudden end: neither lost nor doubled."""

from __future__ import annotations

import json
import random
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from geoweir.core.kept import Selection
from geoweir.store.reading import open_for_reading
from support.accounting import check_account, read
from support.brokers import Broker
from support.eventually import eventually
from support.mischief import write_mischief
from support.outside import Listener, Sender, point
from support.service import Geoweir


def configuration(broker: Broker, **more: Any) -> dict[str, Any]:
    return {
        "mqtt": {"url": broker.url, "protocol": broker.protocol},
        "streams": {"s": {"subscribe": "in/#", "steps": [{"python": "mischief:obey"}]}},
        "pool": {"workers": 2, "chunk": 16, "timeout": "1s"},
        "state": {"path": "state.db"},
    } | more


@pytest.fixture(autouse=True)
def module(tmp_path: Path) -> None:
    write_mischief(tmp_path)


def kept(service: Geoweir) -> dict[str, int]:
    """Attempts by topic, from the file of a service that doesn't run."""
    with open_for_reading(service.folder / "state.db") as table:
        found = table.find(Selection(), 10**6)
    topics = [one.topic for one in found]
    assert len(topics) == len(set(topics))
    return {one.topic: one.attempts for one in found}


def retry(service: Geoweir) -> dict[str, Any]:
    request = urllib.request.Request(  # noqa: S310
        f"{service.url}/api/kept/retry",
        data=b'{"all": true}',
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
        found: dict[str, Any] = json.load(answer)
    return found


def store(service: Geoweir) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(service.get("/api/state"))["store"]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_what_left_the_broker_as_dropped_is_kept_whenever_the_service_is_killed(
    broker: Broker, tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)
    rounds, count = 4, 1600
    config = configuration(broker)
    config["streams"]["s"]["steps"] = [{"python": "mischief:slow_chunks"}]
    with (
        Listener(broker) as listener,
        Sender(broker) as sender,
        Geoweir(config, tmp_path) as service,
    ):
        for turn in range(rounds):
            sender.post(
                (f"in/{n}", b"junk" if n % 3 else point(n)) for n in range(turn, count, rounds)
            )
            eventually(lambda: service.settled() > 0)
            time.sleep(dice.uniform(0.0, 0.3))  # the moment is what the seed varies
            service.kill()
            service.start()
        good = len(range(0, count, 3))
        eventually(lambda: len(read(listener.heard, "s").published) >= good, 60)
        # All of it has left the broker when nothing is in flight and nothing more comes.
        eventually(lambda: store(service)["messages"] >= count - good, 60)
        eventually(lambda: service.stream("s")["in_flight"] == 0)
        assert service.account()["unaccounted"] == 0
        service.kill()
    assert set(kept(service)) == {f"in/{n}" for n in range(count) if n % 3}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_a_kill_while_inputs_are_sent_again_neither_loses_nor_doubles_what_is_kept(
    broker: Broker, tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)
    count = 400
    poison = {n for n in range(count) if n % 200 == 0}
    with (
        Listener(broker) as listener,
        Sender(broker) as sender,
        Geoweir(configuration(broker), tmp_path) as service,
    ):
        _drop_all(service, sender, count, poison)
        before = kept_over_http(service)
        assert set(before) == {f"in/{n}" for n in range(count)}
        for _ in range(3):
            retry(service)
            time.sleep(dice.uniform(0.0, 0.3))  # the moment is what the seed varies
            service.kill()
            left = set(kept(service))
            # Kept, or come home, and nothing in neither; the listener hears of it a little later.
            gone = {f"in/{n}" for n in range(count)} - left
            eventually(lambda: gone <= _home(listener), 10, lambda: gone - _home(listener))  # noqa: B023
            service.start()
        while store(service)["messages"] > len(poison):
            retry(service)
            eventually(lambda: not store(service)["retrying"])
        assert service.account()["unaccounted"] == 0
        seen = read(listener.heard, "s")
        assert set(seen.published) == {str(n) for n in range(count) if n not in poison}
        assert all(len(keys) == 1 for keys in seen.published.values())
        service.kill()
    left_over = kept(service)
    assert set(left_over) == {f"in/{n}" for n in poison}
    assert min(left_over.values()) >= 2


def _drop_all(service: Geoweir, sender: Sender, count: int, poison: set[int]) -> None:
    """Has every input dropped: a step that isn't there yet kills each worker that loads it."""
    module = service.folder / "mischief.py"
    obey = module.read_text(encoding="utf-8")
    module.write_text(
        "import os, signal\ndef obey(chunk):\n    os.kill(os.getpid(), signal.SIGKILL)\n",
        encoding="utf-8",
    )
    service.configure(
        json.loads(service.file.read_text()) | {"pool": {"workers": 2, "on_failure": "drop"}}
    )
    service.kill()
    service.start()
    sender.send(
        (f"in/{n}", point(n, also={"do": "kill"} if n in poison else {})) for n in range(count)
    )
    service.wait_settled(count, 90)
    module.write_text(obey, encoding="utf-8")
    service.configure(json.loads(service.file.read_text()) | {"pool": {"workers": 2, "chunk": 16}})
    service.kill()
    service.start()


def _home(listener: Listener) -> set[str]:
    return {f"in/{ident}" for ident in read(listener.heard, "s").published}


def kept_over_http(service: Geoweir) -> dict[str, int]:
    body = json.loads(service.get("/api/kept?limit=1000"))
    return {one["topic"]: one["attempts"] for one in body["kept"]}


def test_poison_that_is_sent_again_costs_itself_alone(broker: Broker, tmp_path: Path) -> None:
    with (
        Listener(broker) as listener,
        Sender(broker) as sender,
        Geoweir(configuration(broker), tmp_path) as service,
    ):
        sender.send([(f"in/{do}", point(do, do=do)) for do in ("kill", "segfault", "hang")])
        service.wait_settled(3, 60)
        sender.post((f"in/{n}", point(n)) for n in range(600))
        assert retry(service)["taken"] == 3
        account = service.wait_settled(606, 60)
        check_account(account, received=606, published=600, reconciled=6)
        listener.wait(600, "geoweir/s/")
        eventually(lambda: not store(service)["retrying"])
        assert kept_over_http(service) == {"in/kill": 2, "in/segfault": 2, "in/hang": 2}


def test_what_is_on_its_way_at_an_orderly_end_is_reconciled_and_stays(
    broker: Broker, tmp_path: Path
) -> None:
    config = configuration(broker, shutdown_grace="2s")
    config["pool"]["timeout"] = "30s"
    with (
        Listener(broker),
        Sender(broker) as sender,
        Geoweir(config, tmp_path) as service,
    ):
        sender.send([("in/1", point("slow", do="kill"))])
        service.wait_settled(1, 60)
        (tmp_path / "mischief.py").write_text(
            "import time\ndef obey(chunk):\n    time.sleep(60)\n", encoding="utf-8"
        )
        service.kill()
        service.start()
        assert retry(service)["taken"] == 1
        eventually(lambda: service.metric("geoweir_workers", state="busy") == 1)
        assert service.stop() == 0
        assert "unaccounted=0 in_flight=0" in service.log()
    assert kept(service) == {"in/1": 2}


def test_a_damaged_file_is_named_and_put_aside_at_the_start(broker: Broker, tmp_path: Path) -> None:
    (tmp_path / "state.db").write_bytes(b"no database " * 1000)
    with Sender(broker) as sender, Geoweir(configuration(broker), tmp_path) as service:
        sender.send([("in/1", b"junk")])
        service.wait_settled(1)
        assert service.metric("geoweir_store_damaged_total") == 1
        (line,) = [line for line in service.log().splitlines() if "store-damaged" in line]
        assert "state.db.damaged-" in line
        eventually(lambda: store(service)["messages"] == 1)
    (aside,) = [p for p in tmp_path.glob("state.db.damaged-*") if p.suffix != ""]
    assert aside.read_bytes() == b"no database " * 1000
