"""``geoweir reconcile`` as its users have it: list, show and retry, running and stopped."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.accounting import check_account, read
from support.eventually import eventually
from support.mosquitto import free_port
from support.outside import headers_of, point
from support.running import Running, run_service
from support.service import clean_environment, command

#: The step obeys as long as there is a file ``closed`` beside the configuration: the moment that
#: made inputs fail passes when it is removed.
_MODULE = """\
import os, pathlib, signal, time

CLOSED = pathlib.Path(__file__).with_name("closed")


def pass_on(chunk):
    for i, properties in enumerate(chunk.properties):
        if properties.get("do") == "drop":
            chunk.drop(i)
        if CLOSED.exists() and properties.get("do") == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if CLOSED.exists() and properties.get("do") == "hang":
            time.sleep(100)
"""


def configuration(**more: Any) -> dict[str, Any]:
    return {
        "http": {"listen": f"127.0.0.1:{free_port()}"},
        "streams": {"s": {"subscribe": "in/#", "steps": [{"python": "gate:pass_on"}]}},
        "pool": {"workers": 1, "timeout": "500ms"},
        "state": {"path": "state.db"},
    } | more


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    (tmp_path / "gate.py").write_text(_MODULE, encoding="utf-8")
    (tmp_path / "closed").touch()
    with run_service(tmp_path, configuration()) as made:
        yield made


def open_gate(running: Running) -> None:
    (running.service.folder / "closed").unlink()


def reconcile(running: Running, *arguments: str, status: int = 0) -> str:
    """What the command prints; on the configuration beside which it runs."""
    done = command(
        "reconcile", *arguments, "-c", "geoweir.yaml", folder=running.service.folder, seconds=90
    )
    assert done.returncode == status, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done.stdout if status == 0 else done.stderr


def kept(running: Running, *filters: str) -> list[dict[str, Any]]:
    lines = reconcile(running, "list", "--json", *filters).splitlines()
    return [json.loads(line) for line in lines]


def test_inputs_of_a_bad_moment_come_home_when_they_are_retried(running: Running) -> None:
    service, listener = running.service, running.listener
    headers = [("trace", "7")] if running.broker.is_v5 else []
    running.sender.send(
        [
            ("in/1", point("good")),
            ("in/2", point("killer", do="kill")),
            ("in/3", point("slow", do="hang")),
            ("in/4", b"nonsense"),
        ],
        headers=headers,
    )
    service.wait_settled(4)
    found = kept(running)
    assert {(one["topic"], one["outcome"], one["reason"]) for one in found} == {
        ("in/2", "reconciled", "crash"),
        ("in/3", "reconciled", "timeout"),
        ("in/4", "rejected", "json"),
    }
    assert {one["attempts"] for one in found} == {1}

    # While the moment lasts they are dropped again, and their attempts are counted up.
    said = reconcile(running, "retry", "--outcome", "reconciled")
    assert said == "sent again 2: published 0, filtered 0, rejected 0, reconciled 2\n"
    assert {one["attempts"] for one in kept(running, "--outcome", "reconciled")} == {2}
    told = listener.wait(4, "geoweir/reconcile/s")
    attempts = {
        tuple(message.body["ids"]): [
            m.body["attempts"] for m in told if m.body["ids"] == message.body["ids"]
        ]
        for message in told
    }
    assert all(later == first + 1 for first, later in attempts.values()), attempts

    open_gate(running)
    said = reconcile(running, "retry", "--all")
    assert said == "sent again 3: published 2, filtered 0, rejected 1, reconciled 0\n"
    listener.wait(3, "geoweir/s/")
    account = service.account()
    # Each way through the path is one input received, with one outcome.
    check_account(account, published=3, rejected=2, reconciled=4, received=9, retried=5)
    (left,) = kept(running)
    assert (left["reason"], left["attempts"]) == ("json", 2)
    if running.broker.is_v5:
        assert headers_of(listener.on("geoweir/s/killer")[0])["trace"] == "7"
    assert service.metric("geoweir_retried_total", outcome="published") == 2
    assert service.metric("geoweir_kept_messages") == 1


def test_a_retried_input_has_the_key_that_its_first_attempt_would_have_had(
    running: Running,
) -> None:
    payload = point("d", do="kill")
    running.sender.send([("in/d", payload)])
    running.service.wait_settled(1)
    open_gate(running)
    reconcile(running, "retry", "--reason", "crash")
    running.sender.send([("in/d", payload)])
    first, second = running.listener.wait(2, "geoweir/s/d")
    assert first.body["geoweir"]["key"] == second.body["geoweir"]["key"]
    seen = read(running.listener.heard, "s")
    assert seen.repeats == {"d": 1}


def test_a_stopped_services_kept_inputs_are_read_from_its_file_and_not_retried(
    running: Running,
) -> None:
    payload = bytes(range(256))
    running.sender.send([("in/1", b"nonsense"), ("in/2", payload), ("in/3", b"\x1b]0;evil\x07")])
    running.service.wait_settled(3)
    before = kept(running)
    assert running.service.stop() == 0
    assert kept(running) == before
    (one,) = [one for one in before if one["topic"] == "in/2"]
    shown = command(
        "reconcile", "show", one["id"][:8], "-c", "geoweir.yaml", folder=running.service.folder
    )
    assert "payload   256 bytes" in shown.stdout
    assert "\x1b" not in reconcile(running, "show", before[2]["id"])
    whole = json.loads(reconcile(running, "show", one["id"], "--json"))
    assert whole["bytes"] == 256
    error = reconcile(running, "retry", "--all", status=1)
    assert "Only a running service can send inputs again." in error
    assert len(error.splitlines()) == 1
    # Neither reading nor refusing has changed anything.
    running.service.start()
    assert kept(running) == before


def test_the_payload_comes_out_byte_for_byte(running: Running) -> None:
    payload = b"\0\xff\r\n\x1b[2J" * 1000
    running.sender.send([("in/1", payload)])
    running.service.wait_settled(1)
    (one,) = kept(running)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "geoweir", "reconcile", "show", one["id"], "--raw"),
            *("--url", running.service.url),
        ],
        cwd=running.service.folder,
        env=clean_environment(),
        capture_output=True,
        timeout=30,
        check=True,
    )
    assert done.stdout == payload


@pytest.mark.parametrize(
    ("arguments", "status", "line"),
    [
        (("retry",), 2, "name ids, narrow it (--reason, …), or write --all"),
        (("retry", "0123abcd"), 1, "no kept input has the id 0123abcd"),
        (("show", "0123abcd"), 1, "no kept input has this id"),
        (("show", "xyz"), 2, "24 hex digits"),
        (("list", "--since", "yesterday"), 2, "a time ago such as 2h"),
        (("list", "--limit", "0"), 2, "a number from 1 on"),
    ],
)
def test_what_cannot_be_done_is_one_clear_line(
    running: Running, arguments: tuple[str, ...], status: int, line: str
) -> None:
    assert line in reconcile(running, *arguments, status=status)


def test_thousands_are_listed_and_sent_again(running: Running) -> None:
    """More than may be on their way at once, and more than a page."""
    count = 1500
    running.sender.send((f"in/{n}", b"nonsense") for n in range(count))
    running.service.wait_settled(count)
    assert len(kept(running)) == count
    assert len(kept(running, "--limit", "7")) == 7
    moment = kept(running, "--limit", "700")[-1]["dropped"]
    assert len(kept(running, "--since", "10m", "--stream", "s", "--reason", "json")) == count
    later = [one for one in kept(running) if one["dropped"] >= moment]
    assert len(later) < count
    said = reconcile(running, "retry", "--reason", "json")
    assert said == f"sent again {count}: published 0, filtered 0, rejected {count}, reconciled 0\n"
    check_account(running.service.account(), received=2 * count, rejected=2 * count)
    found = kept(running)
    assert len(found) == count
    assert {one["attempts"] for one in found} == {2}


def test_over_http_a_write_needs_the_token_where_there_is_one(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n", encoding="utf-8")
    (tmp_path / "gate.py").write_text(_MODULE, encoding="utf-8")
    config = configuration(
        http={"listen": f"127.0.0.1:{free_port()}", "token_file": "token"}, state={"path": None}
    )
    with run_service(tmp_path, config) as running:
        running.sender.send([("in/1", b"nonsense")])
        eventually(lambda: kept(running))
        request = urllib.request.Request(  # noqa: S310
            f"{running.service.url}/api/kept/retry",
            data=b'{"all": true}',
            headers={"Content-Type": "application/json"},
        )
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=10)  # noqa: S310
        assert refused.value.code == 401
        refused.value.close()
        # The configuration names the token, and memory is as good a place as a file.
        assert reconcile(running, "retry", "--all").startswith("sent again 1: published 0")
        assert running.service.stop() == 0
        assert "what was kept ended with it" in reconcile(running, "list", status=1)


def test_what_is_configured_not_to_be_kept_is_not(tmp_path: Path) -> None:
    (tmp_path / "gate.py").write_text(_MODULE, encoding="utf-8")
    (tmp_path / "closed").touch()
    config = configuration(state={"path": "s.db", "keep": {"rejected": False, "messages": 2}})
    with run_service(tmp_path, config) as running:
        running.sender.send([("in/x", b"nonsense")])
        for n in range(3):
            running.sender.send([(f"in/{n}", point(n, do="kill"))])
        running.service.wait_settled(4)
        eventually(lambda: len(kept(running)) == 2)
        assert {one["reason"] for one in kept(running)} == {"crash"}
        assert running.service.metric("geoweir_kept_removed_total", bound="messages") == 1
