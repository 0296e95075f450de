"""SIGHUP: a changed configuration is taken up without loss, a faulty one is refused whole."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.accounting import read
from support.eventually import eventually
from support.mosquitto import free_port
from support.outside import point
from support.running import Running, run_service


def config(tag: str, **more: Any) -> dict[str, Any]:
    step = {"python": f"tags:{tag}"}
    streams = {"s": {"subscribe": "in/#", "steps": [step], **more}}
    return {"streams": streams, "http": {"listen": f"127.0.0.1:{free_port()}"}}


def write_tags(folder: Path) -> None:
    text = "".join(
        f"def {tag}(chunk):\n"
        "    time.sleep(0.004 * len(chunk.properties))\n"
        f"    for p in chunk.properties: p['tag'] = '{tag}'\n"
        for tag in "abc"
    )
    (folder / "tags.py").write_text(f"import time\n{text}", encoding="utf-8")


def rewrite(running: Running, settings: dict[str, Any], *, signals: bool = True) -> None:
    """Writes another configuration for the same broker and address, and says so."""
    old = json.loads(running.service.file.read_text())
    running.service.configure({"mqtt": old["mqtt"]} | settings | {"http": old["http"]})
    if signals:
        running.service.signal(signal.SIGHUP)


@contextlib.contextmanager
def counted_throughout(running: Running) -> Iterator[None]:
    """Asks for the account all the while: each answer balances, and no number of it falls."""
    over, faults, asked = threading.Event(), [], []
    numbers = dict.fromkeys(("received", "published", "filtered", "rejected", "reconciled"), 0)

    def ask() -> None:
        while not over.wait(0.02):
            try:
                account = running.service.account()
            except OSError:
                continue  # between two lives nobody answers
            asked.append(1)
            stream = account["streams"]["s"]
            settled = sum(stream[name] for name in numbers if name != "received")
            balances = stream["received"] == settled + stream["in_flight"]
            falls = [name for name, before in numbers.items() if stream[name] < before]
            # What a lost connection voids was received, and is not any more.
            if account["unaccounted"] or not balances or set(falls) - {"received"}:
                faults.append((account, dict(numbers)))
            numbers.update((name, stream[name]) for name in numbers)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert not faults, faults[:2]
    assert len(asked) > 10


def lives(running: Running) -> int:
    """How often it was ready."""
    return running.service.output().count("geoweir is ready")


def said(running: Running, what: str, times: int = 1) -> None:
    eventually(lambda: running.service.log().count(f" {what}") >= times, 60, running.service.log)


@pytest.mark.parametrize(
    # With one, the fault suite does it too (i).
    "processes",
    [pytest.param("1", marks=pytest.mark.slow), "2"],
)
def test_a_changed_configuration_is_taken_up_under_load_and_nothing_is_lost(
    tmp_path: Path, processes: str
) -> None:
    count = 3000
    write_tags(tmp_path)
    with (
        run_service(tmp_path, config("a"), ("--processes", processes)) as running,
        counted_throughout(running),
    ):
        pid = running.service.pid
        for turn, tag in enumerate("bc"):
            part = range(turn * count // 2, (turn + 1) * count // 2)
            running.sender.post((f"in/{n}", point(n)) for n in part)
            eventually(lambda: len(read(running.listener.heard, "s").published) > part.start)  # noqa: B023
            rewrite(running, config(tag))
            eventually(lambda: lives(running) == turn + 2, 60, running.service.log)  # noqa: B023
        eventually(lambda: len(read(running.listener.heard, "s").published) == count, 90)
        read(running.listener.heard, "s").each_once(map(str, range(count)))
        assert running.service.pid == pid
        # Something was in hand at the change, or this shows nothing.
        assert re.search(r"draining .*in_flight=[1-9]", running.service.log())
        # The account counts on, and balances.
        eventually(lambda: running.service.stream("s")["in_flight"] == 0)
        account = running.service.account()
        assert account["unaccounted"] == 0
        assert account["streams"]["s"]["published"] >= count
        assert running.service.metric("geoweir_outcomes_total", outcome="published") >= count
        assert running.service.metric("geoweir_config_last_reload_successful") == 1
        tags = {m.body["properties"]["tag"] for m in running.listener.on("geoweir/s/")}
        assert "a" in tags
        assert tags <= {"a", "b", "c"}
        running.sender.send([("in/last", point("last"))])
        last = running.result("geoweir/s/last").body
        assert last["properties"]["tag"] == "c"


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_faulty_configuration_is_refused_whole_and_the_old_one_goes_on(
    tmp_path: Path, processes: str
) -> None:
    write_tags(tmp_path)
    with run_service(tmp_path, config("a"), ("--processes", processes)) as running:
        rewrite(running, config("a", qos=7))
        said(running, "reload-refused")
        assert running.service.metric("geoweir_config_last_reload_successful") == 0
        rewrite(running, config("nowhere"))  # read well, and no such function: a trial finds that
        said(running, "reload-refused", 2)
        other = config("b") | {"mqtt": {"url": "mqtt://127.0.0.1:1"}}
        rewrite(running, other)
        said(running, "reload-refused", 3)
        running.sender.send([("in/1", point(1))])
        assert running.result("geoweir/s/1").body["properties"]["tag"] == "a"
        assert "qos" in running.service.log()


def test_a_configuration_that_says_what_it_said_changes_nothing(tmp_path: Path) -> None:
    write_tags(tmp_path)
    with run_service(tmp_path, config("a")) as running:
        running.service.signal(signal.SIGHUP)
        said(running, "reload-unneeded")
        assert "draining" not in running.service.log()
        assert running.service.metric("geoweir_config_last_reload_successful") == 1


def test_a_file_that_is_watched_is_taken_up_without_a_signal(tmp_path: Path) -> None:
    write_tags(tmp_path)
    watch = {"reload": {"watch": "1s"}}
    with run_service(tmp_path, config("a") | watch) as running:
        rewrite(running, config("b") | watch, signals=False)
        said(running, "reloaded")
        running.sender.send([("in/1", point(1))])
        assert running.result("geoweir/s/1").body["properties"]["tag"] == "b"
        rewrite(running, config("c", qos=7) | watch, signals=False)
        said(running, "reload-refused")
        running.service.signal(signal.SIGHUP)
        said(running, "reload-refused", 2)


def test_streams_come_and_go(tmp_path: Path) -> None:
    write_tags(tmp_path)
    with run_service(tmp_path, config("a")) as running:
        two = config("a")
        two["streams"]["t"] = {"subscribe": "more/#"}
        rewrite(running, two)
        said(running, "ready", 2)
        running.sender.send([("more/1", point(1)), ("in/2", point(2))])
        assert running.result("geoweir/t/1").body["geoweir"]["stream"] == "t"
        assert running.result("geoweir/s/2").body["geoweir"]["stream"] == "s"
        rewrite(running, {"streams": {"t": {"subscribe": "more/#"}}})
        said(running, "ready", 3)
        assert set(running.service.account()["streams"]) == {"t"}
        assert running.service.stream("t")["published"] == 1
