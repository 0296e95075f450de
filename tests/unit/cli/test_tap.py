"""The lines of ``tap``."""

from __future__ import annotations

import io
from typing import Any

import msgspec
import pytest

from geoweir.cli.tap import Missed, Seen, features, line


def seen(**changes: Any) -> Seen:
    whole = {
        "missed": 0, "stream": "buses", "at": 1_790_000_000.5, "outcome": "published",
        "reason": "", "crs": "EPSG:4326", "ids": ["a", None], "topics": ["in/0", "in/1"],
        "x": [1.5, None], "y": [-2.25, None], "times": [1_700_000_000.25, None],
    }  # fmt: skip
    return msgspec.convert(whole | changes, Seen)


def words(**changes: Any) -> list[list[str]]:
    return [line(feature).split() for feature in features(seen(**changes))]


def test_a_line_has_time_id_place_and_outcome() -> None:
    assert words() == [
        ["2023-11-14T22:13:20.250Z", "a", "1.500000", "-2.250000", "published"],
        ["-", "-", "-", "-", "published", "topic=in/1"],
    ]


def test_a_reason_and_an_uncommon_crs_are_said() -> None:
    (first, _) = words(outcome="rejected", reason="json", crs="EPSG:3857")
    assert first[4:] == ["rejected", "json", "crs=EPSG:3857"]


def test_nothing_from_the_network_reaches_the_terminal_as_it_came() -> None:
    evil = "\x1b]0;owned\x07\u202e"
    for feature in features(seen(ids=[evil, None], topics=[evil] * 2, reason=evil, crs=evil,
                                 outcome=evil)):  # fmt: skip
        assert line(feature).isprintable()


def test_a_feature_for_machines_has_every_column() -> None:
    first, _ = features(seen())
    assert first == {
        "time": 1_700_000_000.25, "id": "a", "x": 1.5, "y": -2.25, "topic": "in/0",
        "stream": "buses", "outcome": "published", "reason": "", "crs": "EPSG:4326",
        "at": 1_790_000_000.5,
    }  # fmt: skip


@pytest.mark.parametrize("wrong", [{"times": [1e15, None]}, {"ids": [1, 2]}, {"at": -1}])
def test_what_is_no_event_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(msgspec.MsgspecError):
        seen(**wrong)


def test_what_was_missed_is_said_now_and_then_and_at_the_end() -> None:
    out, now = io.StringIO(), [0.0]
    missed = Missed(out, lambda: now[0])
    for now[0] in range(12):
        missed.add(100)
    missed.tell(is_last=True)
    missed.tell(is_last=True)
    assert out.getvalue().splitlines() == [
        "tap: 600 more were not shown",
        "tap: 500 more were not shown",
        "tap: 100 more were not shown",
    ]
