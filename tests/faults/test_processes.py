"""One of several processes dies, hangs or can't start: the others go on, and nothing is lost."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.accounting import read
from support.brokers import Broker, needs_mosquitto, open_mosquitto
from support.eventually import eventually
from support.mischief import write_mischief
from support.outside import Listener, Sender, point
from support.service import Geoweir, clean_environment, descendants, outcomes_of

pytestmark = pytest.mark.mosquitto

#: Ends every process of a supervisor before it has imported anything.
_STILLBORN = 'import os, sys\nif "member" in sys.orig_argv: os._exit(3)\n'


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Broker]:
    needs_mosquitto()
    write_mischief(tmp_path)
    with open_mosquitto(tmp_path / "broker") as broker:
        yield broker


def two(broker: Broker, folder: Path, step: str = "mischief:slow", **more: Any) -> Geoweir:
    config = {
        "mqtt": {"url": broker.url},
        "streams": {"s": {"subscribe": "in/#", "steps": [{"python": step}]}},
        "pool": {"workers": 1, "chunk": 64},
    } | more
    return Geoweir(config, folder, arguments=("--processes", "2"))


def process(service: Geoweir, index: int) -> dict[str, Any]:
    found: dict[str, Any] = service.account()["processes"][index]
    return found


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@contextlib.contextmanager
def balanced_throughout(service: Geoweir) -> Iterator[None]:
    """Asks for the sum all the while: each answer balances, and no counter ever falls."""
    done, faults, highest, asked = threading.Event(), [], [0], []

    def ask() -> None:
        while not done.wait(0.02):
            account = service.account()
            (stream,) = account["streams"].values()
            settled = outcomes_of(stream)
            asked.append(1)
            if (
                account["unaccounted"]
                or stream["received"] != settled + stream["in_flight"]
                or settled < highest[0]
            ):
                faults.append(account)
            highest[0] = max(highest[0], settled)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(20)
    assert not faults, faults[:3]
    assert asked


def test_a_process_that_is_killed_comes_back_and_the_other_goes_on_meanwhile(
    mosquitto: Broker, tmp_path: Path
) -> None:
    ids = [f"i{n}" for n in range(6000)]
    with (
        Listener(mosquitto) as listener,
        Sender(mosquitto) as sender,
        two(mosquitto, tmp_path) as service,
    ):
        with balanced_throughout(service):
            sender.send((f"in/{n}", point(ident)) for n, ident in enumerate(ids))
            eventually(lambda: len(listener.on("geoweir/s/")) > 500)
            victim = process(service, 0)["pid"]
            os.kill(victim, signal.SIGKILL)
            eventually(lambda: process(service, 0)["pid"] != victim)
            before = process(service, 1)["received"] - process(service, 1)["in_flight"]
            went_on = []

            def is_back() -> bool:
                processes = service.account()["processes"]
                if processes[0]["state"] == "online":
                    return True
                went_on.append(processes[1]["received"] - processes[1]["in_flight"] > before)
                return False

            eventually(is_back)
            assert any(went_on)
            eventually(
                lambda: len(read(listener.heard, "s").published) == len(ids),
                60,
                lambda: (service.account(), service.log()[-3000:]),
            )
            eventually(lambda: service.stream("s")["in_flight"] == 0)
        read(listener.heard, "s").each_once(ids)
        account = service.account()
        assert account["unaccounted"] == 0
        assert [one["deaths"] for one in account["processes"]] == [1, 0]
        assert account["streams"]["s"]["returned"] > 0
        assert account["streams"]["s"]["redelivered"] > 0
        assert service.metric("geoweir_process_deaths_total") == 1
        returned = service.metric("geoweir_returned_total", stream="s")
        assert returned == account["streams"]["s"]["returned"]
        assert service.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_end_under_load_drains_every_process_and_leaves_the_rest_to_the_next_start(
    mosquitto: Broker, tmp_path: Path, number: signal.Signals
) -> None:
    ids = [f"i{n}" for n in range(6000)]
    with (
        Listener(mosquitto) as listener,
        Sender(mosquitto) as sender,
        two(mosquitto, tmp_path, shutdown_grace="1s") as service,
    ):
        sender.post((f"in/{n}", point(ident)) for n, ident in enumerate(ids))
        eventually(lambda: len(listener.on("geoweir/s/")) > 300)
        below = descendants(service.pid)
        service.signal(number)
        service.signal(number)
        assert service.wait(20) == 0
        eventually(lambda: all(map(is_gone, below)))
        assert len(read(listener.heard, "s").published) < len(ids)
        last = service.log().splitlines()[-1]
        assert "stopped processes=2 unaccounted=0" in last
        service.start()
        eventually(
            lambda: len(read(listener.heard, "s").published) == len(ids), 60, service.account
        )
        eventually(lambda: service.stream("s")["in_flight"] == 0)
        read(listener.heard, "s").each_once(ids)
        assert service.stop() == 0


def test_a_process_that_does_not_drain_is_ended_and_the_exit_status_says_so(
    mosquitto: Broker, tmp_path: Path
) -> None:
    with two(mosquitto, tmp_path, shutdown_grace="1s") as service:
        stopped = process(service, 1)["pid"]
        os.kill(stopped, signal.SIGSTOP)
        service.signal(signal.SIGTERM)
        assert service.wait(30) == 1
        assert is_gone(stopped)
        assert service.log().splitlines()[-1] == (
            "geoweir: process 1 did not drain within 1s; what it held is at the broker. "
            "Raise shutdown_grace, or see its log."
        )


def test_a_process_that_dies_while_the_broker_is_away_waits_for_it(
    mosquitto: Broker, tmp_path: Path
) -> None:
    ids = [f"i{n}" for n in range(200)]
    with (
        Listener(mosquitto) as listener,
        Sender(mosquitto) as sender,
        two(mosquitto, tmp_path) as service,
    ):
        mosquitto.mosquitto.end()
        victim = process(service, 1)["pid"]
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: process(service, 1)["pid"] not in (victim, None))
        eventually(lambda: b'"ready":false' in page(service, "/readyz"))
        mosquitto.mosquitto.start()
        eventually(lambda: b'"ready":true' in page(service, "/readyz"), 60, service.log)
        sender.up.wait(20)
        sender.send((f"in/{n}", point(ident)) for n, ident in enumerate(ids))
        eventually(lambda: len(read(listener.heard, "s").published) == len(ids))
        read(listener.heard, "s").each_once(ids)
        assert service.stop() == 0


def page(service: Geoweir, path: str) -> bytes:
    """A page, whatever its status."""
    import urllib.error

    try:
        return service.get(path)
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.read()


def test_a_supervisor_that_is_killed_leaves_no_process_behind(
    mosquitto: Broker, tmp_path: Path
) -> None:
    with two(mosquitto, tmp_path) as service:
        below = descendants(service.pid)
        assert len(below) >= 4  # two processes, each with a worker
        service.kill()
        eventually(lambda: all(map(is_gone, below)))


def test_a_reason_that_keeps_a_process_from_starting_ends_all_with_one_line(
    mosquitto: Broker, tmp_path: Path
) -> None:
    (tmp_path / "broken.py").write_text("raise RuntimeError('not today')\n", encoding="utf-8")
    service = two(mosquitto, tmp_path, step="broken:step").launch()
    assert service.wait(60) == 1
    lines = service.log().splitlines()
    ours = [line for line in lines if line.startswith("geoweir: ")]
    assert len(ours) == 1
    assert "not today" in ours[0]
    assert "geoweir is ready" not in service.output()


def test_a_process_that_keeps_dying_at_its_start_ends_all_with_one_line(
    mosquitto: Broker, tmp_path: Path
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(_STILLBORN, encoding="utf-8")
    path = f"{tmp_path / 'site'}{os.pathsep}{clean_environment().get('PYTHONPATH', '')}"
    service = two(mosquitto, tmp_path)
    service.environment["PYTHONPATH"] = path
    service.launch()
    assert service.wait(60) == 1
    lines = service.log().splitlines()
    assert lines[-1].startswith("geoweir: process ")
    assert "ended 5 times in a row before it was ready (exit status 3)" in lines[-1]
    assert sum("process-ended" in line for line in lines) >= 5


def test_an_address_that_is_taken_is_told_before_any_process_starts(
    mosquitto: Broker, tmp_path: Path
) -> None:
    with two(mosquitto, tmp_path) as service:
        port = service.url.rpartition(":")[2]
        (tmp_path / "other").mkdir()
        write_mischief(tmp_path / "other")
        other = two(mosquitto, tmp_path / "other", http={"listen": f"127.0.0.1:{port}"}).launch()
        assert other.wait(30) == 1
        (line,) = other.log().splitlines()
        assert line.startswith(f"geoweir: http.listen: 127.0.0.1:{port} can't be listened on")
        assert service.stop() == 0
