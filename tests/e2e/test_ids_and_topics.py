"""Ids from hostile payloads in output topics: the connection holds, and each id has its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

import pytest

from support.eventually import eventually
from support.outside import Heard
from support.running import Running, run_service

IDS = {
    "hash": "#",
    "plus": "a+b",
    "slash": "a/b/c",
    "only-slashes": "//",
    "nul": "a\0b",
    "controls": "".join(map(chr, range(1, 32))) + "\x7f\x85\x9f",
    "nonchar-ffff": "a\uffff",
    "nonchar-fffe": "\ufffe",
    "nonchar-plane-1": "\U0001ffff",
    "sys": "$SYS",
    "share": "$share/group/x",
    "markup": "[/]",
    "markup-2": "[bold red]x",
    "percent": "%2F",
    "percent-percent": "%252F",
    "ansi": "\x1b[31mred",
    "html": "<img src=x onerror=alert(1)>",
    "formula": "=cmd|' /C calc'!A0",
    "right-to-left": "\u202eabc",
    "newline": "a\r\nb",
    "quote": '"\\"',
    "braces": "{stream}/{id}",
    "dots": "../../etc/passwd",
    "space": " ",
    "emoji": "🚌" * 20,
    "looks-cut": "x" * 90 + "%~" + "0" * 32,
    "200-levels": "/" * 300,
    "long": "x" * 65_535,
    "long-too": "x" * 65_534 + "y",
    "long-controls": "\0" * 60_000,
    "long-unicode": "ü" * 32_767,
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    config = {
        "streams": {
            "s": {
                "subscribe": "in/#",
                "rejected": {"topic": "geoweir/rejected/s/{id}"},
                "publish": {"topic": "geoweir/{stream}/{id}"},
            },
            "levels": {
                "subscribe": "levels/+/+",
                "fields": {"id": "{topic[1]}"},
                "publish": {"topic": "geoweir/{stream}/{topic[2]}/{id}"},
            },
        },
        "pool": {"workers": 1},
    }
    with run_service(tmp_path_factory.mktemp("ids"), config) as made:
        yield made


def payload(ident: str, geometry: object = None) -> bytes:
    document = {"type": "Feature", "id": ident, "geometry": geometry, "properties": {}}
    return json.dumps(document).encode()


def results(running: Running, ident: str) -> list[Heard]:
    return [m for m in running.listener.on("geoweir/s/") if m.body["id"] == ident]


def never_cut(running: Running) -> None:
    assert running.service.metric("geoweir_mqtt_reconnects_total") == 0
    assert running.service.metric("geoweir_mqtt_connected", direction="out") == 1
    assert running.service.account()["unaccounted"] == 0


@pytest.mark.parametrize("name", IDS)
def test_an_id_from_hell_has_one_level_of_a_topic_that_reads_back(
    running: Running, name: str
) -> None:
    ident = IDS[name]
    running.sender.send([("in/x", payload(ident))])
    (message,) = eventually(lambda: results(running, ident))
    level = message.topic.removeprefix("geoweir/s/")
    assert "/" not in level
    assert 0 < len(level.encode()) <= 128
    if "%~" in level:
        assert len(ident.encode()) > 80
    else:
        assert unquote_to_bytes(level).decode() == ident
    never_cut(running)


def test_every_id_has_a_topic_of_its_own(running: Running) -> None:
    running.sender.send([("in/all", payload(ident)) for ident in IDS.values()])
    found = eventually(
        lambda: topics if len(topics := topics_by_id(running)) == len(IDS) else {},
        why=running.service.account,
    )
    assert all(len(topics) == 1 for topics in found.values())
    assert len({next(iter(topics)) for topics in found.values()}) == len(IDS)


def topics_by_id(running: Running) -> dict[str, set[str]]:
    topics: dict[str, set[str]] = {}
    for message in running.listener.on("geoweir/s/"):
        topics.setdefault(message.body["id"], set()).add(message.topic)
    return topics


def test_hostile_ids_of_rejected_inputs_do_not_cut_the_connection_either(running: Running) -> None:
    broken = {"type": "Circle"}
    running.sender.send([("in/broken", payload(ident, broken)) for ident in IDS.values()])
    eventually(
        lambda: len(running.listener.on("geoweir/rejected/s/")) >= len(IDS),
        why=running.service.account,
    )
    told = running.listener.on("geoweir/rejected/s/")
    assert len(told) == len(IDS)
    assert {message.body["reason"] for message in told} == {"geometry"}
    # An input of more than 256 KiB is not searched for its id on the loop.
    named = [message.body["id"] for message in told if "id" in message.body]
    assert len(named) == len(IDS) - 1
    assert {ident for ident in IDS.values() if len(ident) < 1000} <= set(named)
    never_cut(running)


def test_levels_of_the_inputs_topic_reach_the_id_and_the_output_topic(running: Running) -> None:
    running.sender.send([("levels/bus 7%/$a", b'{"type":"Point","coordinates":[1,2]}')])
    message = running.result("geoweir/levels/%24a/bus 7%25")
    assert message.body["id"] == "bus 7%"
    assert message.body["geometry"] == {"type": "Point", "coordinates": [1.0, 2.0]}
