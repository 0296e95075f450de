"""Sightings from a worker are what they should be, or the worker is not believed."""

from __future__ import annotations

import math
from typing import Any

import pytest

from geoweir.core.work import SIGHTING_ID, SIGHTINGS, Sightings
from geoweir.errors import WorkerError
from geoweir.pool.frames import Answer, checked_done, decode_reply, pack
from geoweir.pool.sighted import sighted

GOOD = Sightings("EPSG:4326", [0, 1, 1], ["a", "", "ü\x1b"], [1.5, None, -3], [2, None, 1e9],
                 [1_700_000_000.0, None, None])  # fmt: skip


def through(seen: Sightings | None) -> Sightings | None:
    """What the service gets of an answer about two inputs."""
    answer = Answer(1, -1, 2, b"\x00\x00", [], 3, [], 4, sighted(seen))
    reply = decode_reply(pack(answer))
    assert isinstance(reply, Answer)
    return checked_done(reply, 2).sightings


def test_sightings_come_as_they_went() -> None:
    assert through(GOOD) == GOOD
    assert through(None) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"inputs": [0, 1, 2]},
        {"inputs": [-1, 0, 1]},
        {"inputs": [0, 1]},
        {"inputs": [0, 1, 1 << 70]},
        {"ids": ["a", "b"]},
        {"ids": ["a", "b", "x" * (SIGHTING_ID + 1)]},
        {"x": [1.0, math.nan, 1.0]},
        {"x": [1.0, math.inf, 1.0]},
        {"y": [1.0, -1e16, 1.0]},
        {"y": [1.0, "2", 1.0]},
        {"times": [math.nan, None, None]},
        {"times": [1e15, None, None]},
        {"times": [-1.0, None, None]},
        {"crs": "x" * 1000, "ids": [1, 2, 3]},
    ],
)
def test_other_sightings_are_refused(wrong: dict[str, Any]) -> None:
    columns = {name: getattr(GOOD, name) for name in Sightings.__slots__} | wrong
    with pytest.raises((WorkerError, OverflowError)):
        through(Sightings(**columns))


def test_more_than_the_bound_is_refused_before_it_is_built() -> None:
    more = SIGHTINGS + 1
    nowhere: list[float | None] = [None] * more
    with pytest.raises(WorkerError, match="length"):
        through(Sightings("", [0] * more, [""] * more, nowhere, nowhere, nowhere))
