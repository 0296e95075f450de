"""Packets of the bench: numbered, marked and cut right, however they are taken."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from packets import FIRST, Packets
from wire import messages

TEMPLATE = 5


@pytest.fixture
def workload(tmp_path: Path) -> Path:
    lines = [
        f'd{n}\t{{"properties":{{"seq":1000000000,"mark":0,"pad":"{"x" * 60 * n}"}}}}\n'
        for n in range(TEMPLATE)
    ]
    (tmp_path / "messages.tsv").write_text("".join(lines), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("first", [0, 3, 65_533])
@pytest.mark.parametrize("step", [1, 4, 7, 23])
def test_every_message_has_its_number_device_mark_and_packet_id(
    workload: Path, first: int, step: int
) -> None:
    packets = Packets(workload, "in/", first=first, count=23, mark_every=10)
    taken = []
    for start in range(0, 23, step):
        taken += packets.take(start, min(start + step, 23))
    data = b"".join(taken)
    found = list(messages(data))
    assert [end for _, _, end in found][-1] == len(data)
    numbers = range(first, first + 23)
    for number, (topic, payload, end) in zip(numbers, found, strict=True):
        assert data[topic : payload - 2] == f"in/d{number % TEMPLATE}".encode()
        assert int.from_bytes(data[payload - 2 : payload]) == number % 65_535 + 1
        properties = json.loads(data[payload:end])["properties"]
        assert properties["seq"] == FIRST + number
        assert properties["mark"] == int(number % 10 == 9)


def test_what_is_made_along_the_way_is_what_is_made_before(
    workload: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Packets(workload, "in/", first=2, count=50)
    monkeypatch.setattr("packets._AHEAD", 0)
    along = Packets(workload, "in/", first=2, count=50)
    for start, stop in itertools.pairwise([0, 1, 20, 50]):
        assert b"".join(along.take(start, stop)) == b"".join(before.take(start, stop))
