"""The broker goes, comes back, or refuses: each input still has exactly one outcome."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.accounting import check_account, read
from support.brokers import Broker, needs_mosquitto, needs_mqtt_5, open_mosquitto
from support.eventually import eventually
from support.mischief import write_mischief
from support.outside import Listener, Sender, point
from support.service import Geoweir

pytestmark = pytest.mark.mosquitto


def configuration(broker: Broker, step: str = "mischief:slow", **more: Any) -> dict[str, Any]:
    return {
        "mqtt": {"url": broker.url, "protocol": broker.protocol},
        "streams": {"s": {"subscribe": "in/#", "steps": [{"python": step}]}},
        "pool": {"workers": 2, "chunk": 64},
    } | more


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Broker]:
    needs_mosquitto()
    write_mischief(tmp_path)
    with open_mosquitto(tmp_path / "broker") as broker:
        yield broker


def test_t16_a_result_topic_that_the_broker_refuses_makes_its_inputs_rejected(
    tmp_path: Path,
) -> None:
    needs_mqtt_5()
    with refusing(tmp_path, "geoweir/s/secret", most=100_000) as (service, listener, sender):
        sender.send([("in/x", point(i)) for i in ("before", "secret", "after")])
        account = service.wait_settled(3)
        seen = read(eventually(lambda: told(listener)), "s")
        seen.each_once(["before", "secret", "after"])
        assert seen.rejected == {"secret": ["refused"]}
        check_account(account, published=2, rejected=1)
        (body,) = [m.body for m in listener.on("geoweir/rejected/s")]
        assert "geoweir/s/secret" in body["detail"]
        assert service.metric("geoweir_mqtt_reconnects_total") == 0


def test_refusals_that_cut_the_connection_each_time_cost_no_other_input_anything(
    tmp_path: Path,
) -> None:
    needs_mqtt_5()
    # mosquitto 2.0 with max_queued_messages 0 disconnects a client at each publish that it refuses.
    ids = [f"i{n}" for n in range(300)]
    with refusing(tmp_path, "geoweir/s/i150", most=0) as (service, listener, sender):
        sender.send((f"in/{n}", point(ident)) for n, ident in enumerate(ids))
        account = service.wait_settled(300)
        eventually(lambda: len(read(listener.heard, "s").published) == 299)
        eventually(lambda: listener.on("geoweir/rejected/s"))
        seen = read(listener.heard, "s")
        seen.each_once(ids)
        assert seen.rejected == {"i150": ["refused"]}
        check_account(account, published=299, rejected=1)


@contextmanager
def refusing(folder: Path, topic: str, *, most: int) -> Iterator[tuple[Geoweir, Listener, Sender]]:
    """A service at a broker that refuses publishes to a topic."""
    needs_mosquitto()
    write_mischief(folder)
    access = folder / "acl"
    access.write_text(f"topic readwrite #\ntopic deny {topic}\n")
    extra = f"acl_file {access}\nmax_queued_messages {most}\n"
    with (
        open_mosquitto(folder / "broker", extra=extra) as broker,
        Listener(broker) as listener,
        Sender(broker) as sender,
        Geoweir(configuration(broker), folder) as service,
    ):
        yield service, listener, sender


def told(listener: Listener) -> list[Any]:
    heard = listener.on("geoweir/")
    outcomes = [m for m in heard if m.topic.startswith(("geoweir/s/", "geoweir/rejected/"))]
    return outcomes if len(outcomes) == 3 else []


def test_a_refused_rejection_is_named_in_the_log_and_blocks_nothing(tmp_path: Path) -> None:
    needs_mqtt_5()
    with refusing(tmp_path, "geoweir/rejected/#", most=100_000) as (service, listener, sender):
        sender.send([("in/x", b"no json"), ("in/x", point("good"))])
        check_account(service.wait_settled(2), published=1, rejected=1)
        listener.wait(1, "geoweir/s/good")
        eventually(lambda: "geoweir/rejected/s" in service.log())


def test_t16_what_the_broker_finds_too_big_is_rejected_and_cuts_nothing(tmp_path: Path) -> None:
    needs_mqtt_5()
    needs_mosquitto()
    write_mischief(tmp_path)
    with (
        open_mosquitto(tmp_path / "broker", extra="max_packet_size 20000\n") as broker,
        Listener(broker) as listener,
        Sender(broker) as sender,
        Geoweir(configuration(broker), tmp_path) as service,
    ):
        sender.send([("in/x", point("big", a="x" * 19_800)), ("in/x", point("good"))])
        check_account(service.wait_settled(2), published=1, rejected=1)
        listener.wait(1, "geoweir/s/good")
        assert [m.body["reason"] for m in listener.wait(1, "geoweir/rejected/s")] == ["refused"]
        assert service.metric("geoweir_mqtt_reconnects_total") == 0


def test_the_status_says_offline_when_the_service_dies_and_online_when_it_runs(
    mosquitto: Broker, tmp_path: Path
) -> None:
    topic = "geoweir/status/geoweir"
    with Listener(mosquitto) as listener, Geoweir(configuration(mosquitto), tmp_path) as service:

        def states() -> list[str]:
            return [message.body["state"] for message in listener.on(topic)]

        eventually(lambda: states()[-1:] == ["online"])
        service.kill()
        eventually(lambda: states()[-1:] == ["offline"])
        service.start()
        eventually(lambda: states()[-1:] == ["online"])
        assert service.stop() == 0
        eventually(lambda: states()[-2:] == ["draining", "offline"])
        with Listener(mosquitto, topic, client_id="late") as late:
            (message,) = late.wait(1)
        assert message.retain
        assert message.body["state"] == "offline"
