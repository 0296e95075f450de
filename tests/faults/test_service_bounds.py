"""Every bound of a running service holds: queue, window, memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.accounting import read
from support.brokers import Broker
from support.eventually import eventually, nothing_for
from support.mischief import write_mischief
from support.outside import Listener, Sender, point
from support.service import Geoweir, private_bytes

QUEUE = 200


def configuration(broker: Broker, **stream: Any) -> dict[str, Any]:
    return {
        "mqtt": {"url": broker.url, "protocol": broker.protocol},
        "streams": {"s": {"subscribe": "in/#"} | stream},
        "queue": {"limit": QUEUE},
        "pool": {"workers": 2, "chunk": 16},
    }


@pytest.fixture(autouse=True)
def module(tmp_path: Path) -> None:
    write_mischief(tmp_path)


def test_a_flood_at_qos_0_leaves_queue_and_memory_bounded(broker: Broker, tmp_path: Path) -> None:
    config = configuration(broker, qos=0, steps=[{"python": "mischief:slow"}])
    with (
        Listener(broker, "geoweir/s/#"),
        Sender(broker) as sender,
        Geoweir(config, tmp_path) as service,
    ):
        sender.send((f"in/{n}", point("warm", pad="x" * 500)) for n in range(500))
        service.wait_settled(1)
        before = private_bytes(service.pid)
        most_waiting, most_held = 0.0, 0.0
        for _ in range(20):
            sender.post(((f"in/{n}", point("i", pad="x" * 500)) for n in range(1000)), qos=0)
            most_waiting = max(most_waiting, service.metric("geoweir_queue_messages"))
            most_held = max(most_held, service.metric("geoweir_in_flight"))
            assert service.account()["unaccounted"] == 0
        assert service.metric("geoweir_reading_paused_seconds_total") > 0
        grown = private_bytes(service.pid) - before
        assert 0 < most_waiting <= QUEUE
        assert most_held <= 10_000
        assert grown < 40_000_000, grown
        nothing_for(0.5, service.settled)
        account = service.account()
        assert account["unaccounted"] == 0
        assert account["streams"]["s"]["in_flight"] == 0


def test_the_receive_window_holds_while_outcomes_come_out_of_order(
    broker: Broker, tmp_path: Path
) -> None:
    ids = [f"i{n}" for n in range(2000)]
    config = configuration(broker, steps=[{"python": "mischief:obey"}])
    config["mqtt"]["receive_window"] = 50
    config["pool"]["chunk"] = 1
    with (
        Listener(broker) as listener,
        Sender(broker) as sender,
        Geoweir(config, tmp_path) as service,
    ):
        sender.send(
            (f"in/{n}", point(ident, also={"do": "sleep", "value": 0.02} if n % 20 == 0 else {}))
            for n, ident in enumerate(ids)
        )
        held: list[float] = []

        def is_done() -> bool:
            held.append(service.metric("geoweir_in_flight"))
            return service.settled() >= len(ids)

        eventually(is_done, 60)
        listener.wait(len(ids), "geoweir/s/")
        seen = read(listener.heard, "s")
        seen.each_once(ids)
        assert seen.order == ids
        # One read of the socket may bring a few more than the window.
        assert 1 < max(held) <= 50 + 64, max(held)
        assert service.metric("geoweir_receive_window") == 50


def test_t09_a_flood_of_brackets_costs_a_rejection_each_and_no_memory(
    broker: Broker, tmp_path: Path
) -> None:
    bomb = b"[],".join([b"["] + [b""] * 600_000) + b"0]"
    with (
        Listener(broker) as listener,
        Sender(broker) as sender,
        Geoweir(configuration(broker), tmp_path) as service,
    ):
        sender.send([("in/x", point("warm"))])
        service.wait_settled(1)
        before = private_bytes(service.pid)
        most = before
        for n in range(80):
            sender.send([(f"in/{n}", bomb)])
            most = max(most, private_bytes(service.pid))
        account = service.wait_settled(81)
        assert account["streams"]["s"]["reasons"]["rejected"] == {"payload": 80}
        listener.wait(80, "geoweir/rejected/s")
        # The window holds 32 MB of payloads, and a packet is whole twice while it is cut out.
        assert most - before < 80_000_000, most - before
        assert service.metric("geoweir_worker_restarts_total") == 0
        assert service.metric("geoweir_mqtt_reconnects_total") == 0


def test_t17_ten_thousand_ids_make_no_new_series(broker: Broker, tmp_path: Path) -> None:
    config = configuration(broker, prefilter={"min_interval": "1s"}, limits={"ids": 1000})
    config["pool"]["chunk"] = 128
    with (
        Listener(broker, "geoweir/status/#"),
        Sender(broker) as sender,
        Geoweir(config, tmp_path) as service,
    ):
        before = len(service.get("/metrics").splitlines())
        sender.send((f"in/{n}", point(f"id-{n}")) for n in range(10_000))
        service.wait_settled(10_000)
        assert len(service.get("/metrics").splitlines()) <= before + 10


def test_t18_ids_without_end_fill_no_memory_and_what_is_forgotten_is_counted(
    broker: Broker, tmp_path: Path
) -> None:
    count, most = 20_000, 1000
    config = configuration(
        broker,
        fields={"sequence": "properties.n"},
        dedupe="1h",
        prefilter={"min_interval": "1h"},
        limits={"ids": most},
    )
    config["pool"]["chunk"] = 128
    with (
        Listener(broker, "geoweir/status/#"),
        Sender(broker) as sender,
        Geoweir(config, tmp_path) as service,
    ):
        sender.send((f"in/{n}", point(f"id-{n}", n=1)) for n in range(count // 2))
        service.wait_settled(count // 2)
        half = private_bytes(service.pid)
        sender.send((f"in/{n}", point(f"id-{n}", n=1)) for n in range(count // 2, count))
        service.wait_settled(count)
        for memory in ("interval", "repeat", "sequence"):
            forgotten = service.metric("geoweir_ids_forgotten_total", stream="s", memory=memory)
            assert forgotten == count - most, memory
        # Ten thousand ids that nobody forgets would be some 4 MB in the three memories.
        assert private_bytes(service.pid) - half < 2_000_000


def test_a_stream_that_hangs_holds_up_no_other_stream(broker: Broker, tmp_path: Path) -> None:
    config = configuration(broker, steps=[{"python": "mischief:obey"}])
    config["streams"]["calm"] = {"subscribe": "calm/#"}
    config["pool"]["timeout"] = "60s"
    with (
        Listener(broker) as listener,
        Sender(broker) as sender,
        Geoweir(config, tmp_path) as service,
    ):
        sender.send([("in/1", point("hangs", do="sleep", value=3))])
        eventually(lambda: service.metric("geoweir_workers", state="busy") == 1)
        sender.send((f"calm/{n}", point(f"i{n}")) for n in range(1000))
        listener.wait(1000, "geoweir/calm/")
        assert not listener.on("geoweir/s/hangs")
        listener.wait(1, "geoweir/s/hangs")


def test_a_flood_on_one_stream_does_not_starve_another(broker: Broker, tmp_path: Path) -> None:
    config = configuration(broker, steps=[{"python": "mischief:slow"}])
    config["streams"]["calm"] = {"subscribe": "calm/#"}
    count = 6000
    with (
        Listener(broker) as listener,
        Sender(broker) as sender,
        Sender(broker, client_id="calm-sender") as other,
        Geoweir(config, tmp_path) as service,
    ):
        sender.post((f"in/{n}", point(f"i{n}")) for n in range(count))
        listener.wait(200, "geoweir/s/")
        for n in range(20):
            other.send([(f"calm/{n}", point(f"c{n}"))])
        listener.wait(20, "geoweir/calm/")
        # Twenty in turn, each there and back, while the flood went on and was not through.
        assert len(listener.on("geoweir/s/")) < count
        service.wait_settled(count + 20, 90)
        assert service.account()["unaccounted"] == 0
