"""Several processes on one broker: they share the streams, and show themselves as one service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from support.accounting import read
from support.brokers import needs_mosquitto
from support.eventually import eventually
from support.outside import Listener, Sender, point
from support.running import Running
from support.service import Geoweir, command

pytestmark = pytest.mark.mosquitto

STREAMS = {
    "s": {"subscribe": "in/#"},
    "again": {"subscribe": "in/#"},
    "whole": {
        "subscribe": "whole/#",
        "fields": {"time": "properties.time"},
        "prefilter": {"min_interval": "5s"},
    },
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    needs_mosquitto()
    from support.brokers import open_mosquitto

    folder = tmp_path_factory.mktemp("processes")
    with open_mosquitto(folder / "broker", extra="log_type all\n") as broker:
        config = {
            "mqtt": {"url": broker.url, "client_id": "gw"},
            "streams": STREAMS,
            "pool": {"workers": 1},
        }
        with (
            Listener(broker) as listener,
            Sender(broker) as sender,
            Geoweir(config, folder, arguments=("--processes", "3")) as service,
        ):
            yield Running(broker, service, listener, sender)
            assert service.stop() == 0
            assert "Traceback" not in service.log()


def test_streams_without_state_are_shared_and_each_gets_every_message_once(
    running: Running,
) -> None:
    ids = [f"i{n}" for n in range(300)]
    running.sender.send((f"in/{n}", point(ident)) for n, ident in enumerate(ids))
    for stream in ("s", "again"):
        eventually(
            lambda: len(read(running.listener.heard, stream).published) == len(ids)  # noqa: B023
        )
        seen = read(running.listener.heard, stream)
        seen.each_once(ids)
        assert not seen.repeats
    account = eventually(
        lambda: (
            found
            if all((found := running.service.account())["streams"][s]["published"] == 300
                   for s in ("s", "again"))
            else None
        )
    )  # fmt: skip
    assert account is not None
    assert [one["received"] for one in account["processes"]] == [200, 200, 200]
    assert account["unaccounted"] == 0


def test_a_stream_with_state_is_whole_in_one_process(running: Running) -> None:
    # Of ten fixes a second apart every fifth passes: only who sees them all can tell.
    fixes = [
        (f"whole/{ident}", point(ident, time=1_700_000_000 + second))
        for second in range(10)
        for ident in ("a", "b", "c")
    ]
    running.sender.send(fixes)
    stream = eventually(
        lambda: (
            found if (found := running.service.stream("whole"))["received"] == 30
            and not found["in_flight"] else None
        )
    )  # fmt: skip
    assert stream is not None
    assert (stream["published"], stream["filtered"]) == (6, 24)
    log = running.broker.mosquitto.log.read_text()
    assert "gw-p2-whole 1 whole/#" in log
    assert "gw-p0-whole" not in log
    assert "gw-p1-whole" not in log


def test_each_process_has_its_own_sessions_and_its_own_status(running: Running) -> None:
    log = running.broker.mosquitto.log.read_text()
    for process in range(3):
        assert f"gw-p{process}-s 1 $share/gw/in/#" in log
        assert f"gw-p{process}-again 1 $share/gw-again/in/#" in log
        with Listener(
            running.broker, f"geoweir/status/gw-p{process}", client_id=f"late-{process}"
        ) as late:
            (message,) = late.wait(1)
        assert message.retain
        assert message.body["state"] == "online"
        (health,) = running.listener.wait(1, f"geoweir/health/gw-p{process}")
        assert health.body["http"] == running.service.url


def test_the_pages_are_those_of_one_service(running: Running) -> None:
    text = running.service.get("/metrics").decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    account = running.service.account()["streams"]["s"]
    assert running.service.metric("geoweir_received_total", stream="s") == account["received"]
    assert running.service.metric("geoweir_process_up") == 3
    assert len(families["geoweir_worker_memory_bytes"].samples) == 3  # one worker each
    series = [(s.name, tuple(s.labels.items())) for f in families.values() for s in f.samples]
    assert len(series) == len(set(series))
    assert b"<html" in running.service.get("/")
    assert b'"ready":true' in running.service.get("/readyz")
    assert b'"live":true' in running.service.get("/healthz")
    assert b'"notice":"3 processes' in running.service.get("/api/overview")


def test_one_line_names_the_streams_whose_retained_messages_do_not_come(running: Running) -> None:
    lines = [line for line in running.service.log().splitlines() if "retained-not-shared" in line]
    assert len(lines) == 1
    assert '["s","again"]' in lines[0]


def test_more_processes_than_have_work_are_refused(tmp_path: Path) -> None:
    (tmp_path / "gw.yaml").write_text(
        "streams: {s: {subscribe: in/#, prefilter: {min_interval: 1s}}}\n", encoding="utf-8"
    )
    done = command("run", "-c", "gw.yaml", "--processes", "2", folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "geoweir: --processes 2: every stream keeps state per id, so each runs whole in one "
        "process, and there is work for 1 only. Write --processes 1.\n"
    )
