"""Gaps in sequence numbers: found, counted, named; and no false one."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from support.eventually import eventually
from support.outside import point
from support.running import Running, run_service

CONFIG = {"streams": {"s": {"subscribe": "in/#", "fields": {"sequence": "properties.seq"}}}}


def send(running: Running, ident: str, numbers: Iterable[int]) -> None:
    running.sender.send((f"in/{ident}", point(ident, seq=n)) for n in numbers)


def test_what_never_came_is_counted_and_named(tmp_path: Path) -> None:
    with run_service(tmp_path, CONFIG) as running:
        service = running.service
        send(running, "whole", range(200))
        send(running, "torn", [*range(100, 150), *range(160, 230), *range(220, 230)])
        send(running, "late", [1, 3, 2, *range(4, 80)])
        running.sender.send([("in/x", b"junk"), ("in/y", point("y"))])
        service.wait_settled(200 + 50 + 70 + 10 + 79 + 2)
        eventually(lambda: service.metric("geoweir_sequence_gaps_total", stream="s") == 1)
        assert service.metric("geoweir_sequence_missing_total", stream="s") == 10
        stream = service.stream("s")
        assert (stream["gaps"], stream["missing"]) == (1, 10)
        line = eventually(lambda: [x for x in service.log().splitlines() if "sequence-gaps" in x])
        assert len(line) == 1
        assert "torn: 150-159" in line[0]
