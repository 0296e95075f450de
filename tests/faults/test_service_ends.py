"""The service ends, in order or not, and starts again: no input is lost by it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from support.accounting import read
from support.brokers import Broker, needs_mosquitto
from support.eventually import eventually
from support.mischief import write_mischief
from support.outside import Listener, Sender, point
from support.service import Geoweir


def configuration(broker: Broker, step: str = "mischief:slow", **more: Any) -> dict[str, Any]:
    return {
        "mqtt": {"url": broker.url, "protocol": broker.protocol},
        "streams": {"s": {"subscribe": "in/#", "steps": [{"python": step}]}},
        "pool": {"workers": 2, "chunk": 64},
    } | more


@pytest.fixture(autouse=True)
def module(tmp_path: Path) -> None:
    write_mischief(tmp_path)


def test_an_orderly_end_does_not_wait_for_a_chunk_that_hangs(
    broker: Broker, tmp_path: Path
) -> None:
    ids = [f"i{n}" for n in range(1000)]
    config = configuration(
        broker,
        "mischief:obey",
        shutdown_grace="2s",
        pool={"workers": 2, "chunk": 64, "timeout": "60s"},
    )
    with (
        Listener(broker) as listener,
        Sender(broker) as sender,
        Geoweir(config, tmp_path) as service,
    ):
        # Enough is observed first for the deadline of the first pass to be known: 60 s at most.
        sender.send(
            (f"in/{n}", point(ident, also={"do": "hang"} if n == 500 else {}))
            for n, ident in enumerate(ids)
        )
        eventually(lambda: service.metric("geoweir_workers", state="busy") >= 1)
        eventually(lambda: len(listener.on("geoweir/s/")) >= 300)
        service.signal(signal.SIGTERM)
        assert service.wait(10) == 0
        assert "unaccounted=0 in_flight=0" in service.log()
        assert len(read(listener.heard, "s").published) < len(ids)
        service.configure(
            configuration(
                broker, "mischief:obey", pool={"workers": 2, "chunk": 64, "timeout": "500ms"}
            )
        )
        service.start()
        eventually(
            lambda: len(read(listener.heard, "s").published) == len(ids) - 1,
            60,
            lambda: (service.account(), service.log()[-3000:]),
        )
        eventually(lambda: service.stream("s")["in_flight"] == 0)
        seen = read(listener.heard, "s")
        seen.each_once(ids, rejected_once=False)
        assert set(seen.reconciled) == {"i500"}


def test_an_end_while_the_broker_is_away_is_in_time_and_loses_nothing(tmp_path: Path) -> None:
    needs_mosquitto()
    from support.brokers import open_mosquitto

    ids = [f"i{n}" for n in range(2000)]
    with (
        open_mosquitto(tmp_path / "broker") as broker,
        Listener(broker) as listener,
        Sender(broker) as sender,
        Geoweir(configuration(broker, shutdown_grace="2s"), tmp_path) as service,
    ):
        sender.send((f"in/{n}", point(ident)) for n, ident in enumerate(ids))
        eventually(lambda: len(listener.on("geoweir/s/")) > 300)
        broker.mosquitto.end()
        service.signal(signal.SIGTERM)
        assert service.wait(10) == 0
        assert "unaccounted=0" in service.log()
        broker.mosquitto.start()
        service.start()
        eventually(
            lambda: len(read(listener.heard, "s").published) == len(ids), 60, service.account
        )
        read(listener.heard, "s").each_once(ids)


def test_a_second_signal_does_not_break_an_orderly_end(broker: Broker, tmp_path: Path) -> None:
    with (
        Listener(broker),
        Sender(broker) as sender,
        Geoweir(configuration(broker), tmp_path) as service,
    ):
        sender.send((f"in/{n}", point(f"i{n}")) for n in range(500))
        for _ in range(3):
            os.kill(service.pid, signal.SIGTERM)
        assert service.wait(15) == 0
        assert "Traceback" not in service.log()
