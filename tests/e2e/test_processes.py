"""Several processes on one broker: they share the streams, and show themselves as one service."""

from __future__ import annotations

import json
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from support.accounting import read
from support.brokers import needs_mosquitto
from support.eventually import eventually
from support.mosquitto import free_port
from support.outside import Listener, Sender, point
from support.running import Running
from support.service import Geoweir, command

pytestmark = pytest.mark.mosquitto

C = ("-c", "geoweir.yaml")
RETRIED = "sent again {}: published 0, filtered 0, rejected {}, reconciled 0\n"

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


def test_kept_inputs_of_all_processes_are_listed_shown_and_sent_again(tmp_path: Path) -> None:
    needs_mosquitto()
    from support.brokers import open_mosquitto

    count = 90
    (tmp_path / "broker").mkdir()
    with open_mosquitto(tmp_path / "broker") as broker:
        config = {
            "http": {"listen": f"127.0.0.1:{free_port()}"},
            "mqtt": {"url": broker.url},
            "streams": {"s": {"subscribe": "in/#"}},
            "pool": {"workers": 1},
            "state": {"path": "state.db"},
        }
        with (
            Sender(broker) as sender,
            Geoweir(config, tmp_path, arguments=("--processes", "3")) as service,
        ):
            sender.send((f"in/{n}", b"junk") for n in range(count))
            service.wait_settled(count)
            eventually(lambda: len(_kept(tmp_path)) == count)
            found = _kept(tmp_path)
            assert {one["process"] for one in found} == {0, 1, 2}
            assert {one["topic"] for one in found} == {f"in/{n}" for n in range(count)}
            page = json.loads(service.get("/api/kept?limit=7"))
            seen = page["kept"]
            while page["more"]:
                page = json.loads(service.get(f"/api/kept?limit=7&after={page['after']}"))
                seen += page["kept"]
            assert [one["id"] for one in seen] == [one["id"] for one in found]
            last = found[-1]
            shown = command("reconcile", "show", last["id"][:12], "--raw", *C, folder=tmp_path)
            assert shown.stdout == "junk"
            said = command("reconcile", "retry", last["id"], *C, folder=tmp_path)
            assert said.stdout == RETRIED.format(1, 1), said.stderr
            said = command("reconcile", "retry", "--reason", "json", *C, folder=tmp_path)
            assert said.stdout == RETRIED.format(count, count), said.stderr
            assert sorted(one["attempts"] for one in _kept(tmp_path)) == [2] * (count - 1) + [3]
            for path, error in (("?after=x", 400), ("/0123abcd", 404), ("/x", 400)):
                with pytest.raises(urllib.error.HTTPError) as refused:
                    service.get(f"/api/kept{path}")
                assert refused.value.code == error
                refused.value.close()
            assert service.account()["unaccounted"] == 0
            assert service.stop() == 0


def _kept(folder: Path) -> list[dict[str, Any]]:
    lines = command("reconcile", "list", "--json", *C, folder=folder).stdout.splitlines()
    return [json.loads(line) for line in lines]
