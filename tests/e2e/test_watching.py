"""``tap`` and ``top`` on a real service: what they show is what the account says."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import termios
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.brokers import Broker
from support.eventually import eventually
from support.mischief import write_mischief
from support.outside import Sender, point
from support.running import Running, run_service
from support.service import Geoweir, clean_environment, command
from support.watching import Tap

OUTCOMES = ("published", "filtered", "rejected", "reconciled")
#: Inputs, and what becomes of each: id, outcome, reason, whether a worker gave it a place.
INPUTS: list[tuple[bytes, tuple[str | None, str, str, bool]]] = [
    (point("good"), ("good", "published", "", True)),
    (point("in-error", do="fail", value="why"), ("in-error", "published", "", True)),
    (point("unwanted", do="drop"), ("unwanted", "filtered", "step", True)),
    (point("outside", 0.0, 0.0), ("outside", "filtered", "bbox", False)),
    (b"nonsense", (None, "rejected", "json", False)),
    (b"", (None, "rejected", "empty", False)),
    (point("north", 145.0, 95.0), ("north", "rejected", "coordinate", False)),
    (point("killer", do="kill"), ("killer", "reconciled", "crash", False)),
]
EVIL = "\x1b]0;owned\x07\u202e\\ \x9b2J"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    config = {
        "streams": {
            "buses": {
                "subscribe": "in/#",
                "fields": {"time": "properties.time"},
                "prefilter": {"bbox": [140, -20, 150, -10]},
                "steps": [{"python": "mischief:obey"}],
            },
            "ships": {
                "subscribe": "ships/#",
                "steps": [{"reproject": {"to": "EPSG:3857"}}],
            },
        },
        "pool": {"workers": 2},
    }
    with run_service(tmp_path_factory.mktemp("watching"), config) as made:
        yield made


@pytest.fixture(autouse=True)
def calm(request: pytest.FixtureRequest) -> None:
    """Nothing of the test before is still on its way."""
    if "running" in request.fixturenames:
        running: Running = request.getfixturevalue("running")
        eventually(
            lambda: running.service.settled() == running.sender.sent, why=running.service.account
        )


def send(running: Running, rounds: int = 1) -> None:
    running.sender.send(
        (f"in/{number}", payload)
        for _ in range(rounds)
        for number, (payload, _) in enumerate(INPUTS)
    )


def told(feature: dict[str, Any]) -> tuple[str | None, str, str, bool]:
    return feature["id"], feature["outcome"], feature["reason"], feature["x"] is not None


def test_every_outcome_is_shown_once_as_the_account_has_it(running: Running) -> None:
    before = running.service.stream("buses")
    with Tap(running.service, "buses", "--json") as tap:
        send(running)
        tap.wait_lines(len(INPUTS))
        shown = tap.features()
    assert Counter(map(told, shown)) == Counter(expected for _, expected in INPUTS)
    after = running.service.stream("buses")
    assert {o: after[o] - before[o] for o in OUTCOMES} == Counter(f["outcome"] for f in shown)
    for feature in shown:
        number = int(feature["topic"].removeprefix("in/"))
        assert told(feature) == INPUTS[number][1]
    (good,) = [feature for feature in shown if feature["id"] == "good"]
    assert (good["x"], good["y"], good["crs"], good["time"]) == (145.7, -16.9, "EPSG:4326", None)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_an_outcome_filters_and_a_limit_ends_the_tap(running: Running, outcome: str) -> None:
    arguments = ("buses", "--json", "--outcome", outcome, "--limit", "2")
    with Tap(running.service, *arguments) as tap:
        send(running, rounds=3)
        assert tap.running.wait(30) == 0
        shown = tap.features()
    assert [feature["outcome"] for feature in shown] == [outcome] * 2
    eventually(lambda: running.service.watchers() == 0)


def test_a_line_is_for_people_and_hostile_ids_do_nothing_to_their_terminal(
    running: Running,
) -> None:
    with (
        Tap(running.service, "buses", "--limit", "2") as plain,
        Tap(running.service, "buses", "--limit", "2", "--json", name="json") as machine,
    ):
        evil = point(EVIL, time="2026-01-02T03:04:05.678Z")
        running.sender.send([("in/evil", evil), (f"in/{EVIL[4:6]}", b"x")])
        assert (plain.running.wait(30), machine.running.wait(30)) == (0, 0)
        first, second = plain.lines()
        assert first.split("  ")[0].split() == [
            "2026-01-02T03:04:05.678Z", "\\x1b]0;owned\\x07\\u202e\\\\", "\\x9b2J"
        ]  # fmt: skip
        assert first.split()[-3:] == ["145.700000", "-16.900000", "published"]
        assert second.split() == ["-", "-", "-", "-", "rejected", "json", f"topic=in/{EVIL[4:6]}"]
        for output in (plain.raw(), machine.raw()):
            assert all(32 <= byte < 127 for byte in output.replace(b"\n", b"")), output
        assert machine.features()[0]["id"] == EVIL


def test_places_are_in_the_crs_that_is_said(running: Running) -> None:
    with Tap(running.service, "ships", "--limit", "1") as tap:
        running.sender.send([("ships/1", point("a", 10.0, 50.0))])
        assert tap.running.wait(30) == 0
        (line,) = tap.lines()
    assert line.split()[2:] == ["1113194.907933", "6446275.841017", "published", "crs=EPSG:3857"]


def test_neighbours_of_a_culprit_have_their_place(running: Running) -> None:
    with Tap(running.service, "buses", "--json") as tap:
        running.sender.send(
            ("in/1", point(f"i{n}", 145.0 + n / 100, do="kill" if n == 7 else None))
            for n in range(20)
        )
        tap.wait_lines(20)
        shown = {feature["id"]: feature for feature in tap.features()}
    assert len(shown) == 20
    assert shown.pop("i7")["outcome"] == "reconciled"
    assert {f["x"] for f in shown.values()} == {145.0 + n / 100 for n in range(20) if n != 7}


def test_an_unknown_stream_is_one_line_with_the_nearest_name(running: Running) -> None:
    url = running.service.url
    done = command("tap", "busses", "--url", url, folder=running.service.folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f'geoweir: {url}/api/tap: no stream is named "busses". The nearest is "buses".\n'
    )


@pytest.mark.parametrize("arguments", [("tap", "buses"), ("top", "--once")])
def test_no_service_is_one_line_and_exit_1(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = command(*arguments, "--url", "http://127.0.0.1:1", folder=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("geoweir: http://127.0.0.1:1: Connection refused. ")
    assert done.stderr.count("\n") == 1


def test_top_once_agrees_with_the_account(running: Running) -> None:
    send(running, rounds=2)
    eventually(lambda: not running.service.stream("buses")["in_flight"])
    arguments = ("--once", "--json", "--interval", "0.1", "--url", running.service.url)
    done = command("top", *arguments, folder=running.service.folder)
    assert (done.returncode, done.stderr) == (0, "")
    shown = json.loads(done.stdout)
    assert shown["account"] == running.service.account()
    assert shown["account"]["unaccounted"] == 0
    assert list(shown["streams"]) == ["buses", "ships"]
    assert shown["queue"] == {"messages": 0, "limit": 500}
    assert [link["up"] for link in shown["connections"]] == [True] * 3
    restarts = running.service.metric("geoweir_worker_restarts_total")
    assert sum(worker["restarts"] for worker in shown["workers"]) == restarts > 0
    for worker in shown["workers"]:
        assert 0 <= worker["private_bytes"] < shown["worker_memory_limit"]


def test_top_elsewhere_than_on_a_terminal_is_plain_lines(running: Running) -> None:
    arguments = ("--once", "--interval", "0.1", "--url", running.service.url)
    done = command("top", *arguments, folder=running.service.folder)
    service, buses, ships = done.stdout.splitlines()
    assert "state=online unaccounted=0 queue=0/500" in service
    assert "stream=buses received/s=" in buses
    assert "stream=ships received/s=" in ships


def test_top_on_a_terminal_fits_it_and_ends_in_peace_with_ctrl_c(running: Running) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    arguments = ("top", "--interval", "0.1", "--url", running.service.url)
    with subprocess.Popen(
        [sys.executable, "-m", "geoweir", *arguments],
        stdout=theirs,
        stderr=theirs,
        env=clean_environment(TERM="xterm"),
    ) as top:
        os.close(theirs)
        shown = b""
        while shown.count(b"\x1b[H") < 3:
            shown += os.read(ours, 65536)
        top.send_signal(signal.SIGINT)
        assert top.wait(10) == 0
    os.close(ours)
    _, panel, *_ = shown.split(b"\x1b[H")
    lines = panel.decode().replace("\x1b[K", "").replace("\x1b[J", "").splitlines()
    assert max(map(len, lines)) <= 80 < sum(map(len, lines))
    assert len(lines) < 24
    assert all(line.isprintable() for line in lines), lines
    assert lines[1].startswith("balanced, unaccounted 0")


def test_a_tap_ends_with_the_service_and_shows_what_the_drain_settled(
    broker: Broker, tmp_path: Path
) -> None:
    write_mischief(tmp_path)
    config = {
        "mqtt": {"url": broker.url, "protocol": broker.protocol},
        "streams": {"s": {"subscribe": "in/#", "steps": [{"python": "mischief:obey"}]}},
        "pool": {"workers": 1, "timeout": "20s"},
    }
    with Sender(broker) as sender, Geoweir(config, tmp_path) as service:
        with Tap(service, "s", "--json") as tap:
            sender.send([("in/1", point("slow", do="sleep", value=1))])
            eventually(lambda: service.metric("geoweir_workers", state="busy") == 1)
            service.signal(signal.SIGTERM)
            assert tap.running.wait(30) == 0
            (slow,) = tap.features()
            assert told(slow) == ("slow", "published", "", True)
            assert tap.errors() == "tap: the service is ending\n"
        assert service.wait() == 0


def test_a_token_is_asked_for_and_taken_from_the_configuration(
    broker: Broker, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("open sesame\n")
    config = {
        "mqtt": {"url": broker.url, "protocol": broker.protocol},
        "streams": {"s": {"subscribe": "in/#"}},
        "pool": {"workers": 1},
        "http": {"listen": "127.0.0.1:0", "token_file": "token"},
    }
    with Geoweir(config, tmp_path) as service:
        done = command("tap", "s", "--url", service.url, folder=tmp_path)
        assert done.returncode == 1
        assert "it wants a token" in done.stderr
        asked = ("top", "--once", "--interval", "0.1", "--url", service.url)
        done = command(*asked, folder=tmp_path, GEOWEIR_HTTP_TOKEN="open sesame")  # noqa: S106
        assert (done.returncode, done.stderr) == (0, "")
        done = command(*asked, "--token-file", "token", folder=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
