"""``queue.when_full``: what has no room in the queue goes to the disk, or is reconciled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from support.accounting import check_account, read
from support.eventually import eventually
from support.outside import point
from support.running import Running, run_service

SLOW = [{"python": "mischief:slow"}]


def config(**queue: Any) -> dict[str, Any]:
    return {
        "streams": {"s": {"subscribe": "in/#", "steps": SLOW}},
        "queue": {"limit": 50, **queue},
        "pool": {"workers": 1, "chunk": 25},
    }


def spill(running: Running) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(running.service.get("/api/state"))["spill"]
    return found


def test_a_burst_goes_to_the_disk_and_comes_back_in_order(tmp_path: Path) -> None:
    count = 3000
    with run_service(tmp_path, config(when_full="spill", spill={"path": "spill"})) as running:
        running.sender.send([(f"in/{n}", point(n)) for n in range(count)])
        # Acknowledged at the broker long before its outcome: that is what a spill is for.
        eventually(lambda: spill(running)["messages"] > count // 2)
        during = running.service.account()
        assert during["unaccounted"] == 0
        assert during["streams"]["s"]["received"] == (
            during["streams"]["s"]["published"] + during["streams"]["s"]["in_flight"]
        )
        assert running.service.metric("geoweir_spill_limit_bytes") == 256_000_000
        assert running.service.metric("geoweir_spill_messages") > 0
        assert running.service.metric("geoweir_spill_bytes") > 0
        running.service.wait_settled(count)
        seen = read(running.listener.heard, "s")
        seen.each_once(map(str, range(count)))
        assert seen.order == [str(n) for n in range(count)]
        check_account(running.service.account(), received=count, published=count)
        eventually(lambda: spill(running)["messages"] == 0)


def test_what_is_on_the_disk_at_an_orderly_end_is_done_by_the_next_start(tmp_path: Path) -> None:
    count = 3000
    settings = config(when_full="spill", spill={"path": "spill"}) | {"shutdown_grace": "3s"}
    with run_service(tmp_path, settings) as running:
        running.sender.send([(f"in/{n}", point(n)) for n in range(count)])
        eventually(lambda: spill(running)["messages"] > count // 2)
        assert running.service.stop() == 0
        before = len(read(running.listener.heard, "s").published)
        assert before < count
        running.service.start()
        eventually(lambda: len(read(running.listener.heard, "s").published) == count, 60)
        eventually(lambda: running.service.stream("s")["in_flight"] == 0)
        seen = read(running.listener.heard, "s")
        seen.each_once(map(str, range(count)))
        assert running.service.account()["unaccounted"] == 0


def test_a_full_spill_stops_reading_and_loses_nothing(tmp_path: Path) -> None:
    count, filler = 1500, "x" * 1500
    settings = config(when_full="spill", spill={"path": "spill", "max": "1MB"})
    with run_service(tmp_path, settings) as running:
        running.sender.post((f"in/{n}", point(n, filler=filler)) for n in range(count))
        eventually(lambda: "spill-failed" in running.service.log(), 30)
        assert spill(running)["bytes"] <= 1_000_000
        assert running.service.metric("geoweir_spill_up") == 0
        running.service.wait_settled(count)
        seen = read(running.listener.heard, "s")
        seen.each_once(map(str, range(count)))
        assert seen.order == [str(n) for n in range(count)]
        assert "spill-works" in running.service.log()


def test_without_a_disk_what_has_no_room_is_reconciled_by_name(tmp_path: Path) -> None:
    count = 2000
    with run_service(tmp_path, config(when_full="drop")) as running:
        running.sender.send([(f"in/{n}", point(n)) for n in range(count)])
        running.service.wait_settled(count)
        eventually(lambda: running.service.stream("s")["in_flight"] == 0)
        dropped = running.reasons("s", "reconciled")
        assert set(dropped) == {"overflow"}
        assert 0 < dropped["overflow"] < count
        seen = read(running.listener.heard, "s")
        seen.each_once(map(str, range(count)))
        assert len(seen.reconciled) == dropped["overflow"]


def test_a_full_spill_names_inputs_that_nobody_would_send_again(tmp_path: Path) -> None:
    count, filler = 3000, "x" * 2000
    settings = config(when_full="spill", spill={"path": "spill", "max": "1MB"})
    settings["streams"]["s"]["qos"] = 0
    with run_service(tmp_path, settings) as running:
        running.sender.send([(f"in/{n}", point(n, filler=filler)) for n in range(count)])
        eventually(lambda: running.service.stream("s")["in_flight"] == 0, 60)
        running.service.wait_settled(1)
        eventually(lambda: running.service.stream("s")["received"] > 0)
        account = running.service.account()["streams"]["s"]
        assert set(running.reasons("s", "reconciled")) <= {"overflow"}
        assert account["reconciled"] > 0
        assert account["received"] == account["published"] + account["reconciled"]
