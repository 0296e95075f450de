"""What a worker tells watchers of a chunk: places after the steps, bounded, and only when asked."""

from __future__ import annotations

import math
import sys
from types import ModuleType

import numpy as np
import orjson
import pytest
import shapely

from geoweir.core.outcome import REASON_CODES
from geoweir.core.spec import Fields, StepSpec, StreamSpec, WorkerSpec
from geoweir.core.work import SIGHTING_ID, SIGHTINGS, ChunkDone, ChunkWork, Sightings
from geoweir.pool.sighted import checked_sightings, sighted
from geoweir.steps.chain import chains
from support.chunks import chunk_of, feature, stream

WHERE = StepSpec(name="where", options={"field": "speed", "above": 5})


def run(*payloads: bytes, watched: bool = True, spec: StreamSpec | None = None) -> ChunkDone:
    (chain,) = chains(WorkerSpec(streams=(spec or stream(),)), {})
    work = chunk_of(*payloads)
    work.watched = watched
    return chain.run(work)


def seen(*payloads: bytes, **changes: object) -> Sightings:
    sightings = run(*payloads, spec=stream(**changes)).sightings
    assert sightings is not None
    return sightings


def point(x: float, y: float, ident: object = "a", **properties: object) -> bytes:
    return feature({"type": "Point", "coordinates": [x, y]}, ident, **properties)


def collection(*features: bytes) -> bytes:
    return b'{"type":"FeatureCollection","features":[' + b",".join(features) + b"]}"


def test_nobody_watching_costs_nothing() -> None:
    assert run(point(1, 2), watched=False).sightings is None
    assert ChunkWork(0, [], [], []).watched is False


def test_watching_changes_no_outcome_and_no_message() -> None:
    payloads = (point(1, 2), b"nonsense", b"", collection(point(1, 2), point(3, 4)))
    plain, watched = run(*payloads, watched=False), run(*payloads)
    assert (plain.codes, plain.messages) == (watched.codes, watched.messages)


def test_a_point_is_where_it_is_and_other_geometries_in_the_middle_of_their_bounds() -> None:
    line = {"type": "LineString", "coordinates": [[0, 0], [10, 4]]}
    square = {"type": "Polygon", "coordinates": [[[0, 0], [2, 0], [2, 6], [0, 6], [0, 0]]]}
    found = seen(point(145.7712345, -16.9, "p"), feature(line, "l"), feature(square, "s"))
    assert (found.ids, found.inputs) == (["p", "l", "s"], [0, 1, 2])
    assert (found.x, found.y) == ([145.7712345, 5, 1], [-16.9, 2, 3])
    assert found.crs == "EPSG:4326"


@pytest.mark.parametrize(
    "geometry", [None, {"type": "Point", "coordinates": []}, {"type": "Polygon", "coordinates": []}]
)
def test_nowhere_is_no_place(geometry: object) -> None:
    found = seen(feature(geometry), point(1, 2))
    assert (found.x, found.y) == ([None, 1], [None, 2])


def test_places_are_those_after_the_steps_and_say_their_crs() -> None:
    found = seen(point(10, 50), steps=(StepSpec(name="reproject", options={"to": "EPSG:3857"}),))
    assert found.crs == "EPSG:3857"
    assert found.x[0] == pytest.approx(1_113_194.9, abs=1)


@pytest.mark.parametrize("far", [math.inf, -math.inf, math.nan, 1e300])
def test_what_a_users_own_step_left_beyond_all_bounds_is_no_place(
    far: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("far_away")

    def throw(chunk: object) -> None:
        chunk.geometry = np.array([shapely.Point(far, 1)], dtype=object)  # type: ignore[attr-defined]

    module.throw = throw  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "far_away", module)
    found = seen(point(1, 2), steps=(StepSpec(name="python", options={"call": "far_away:throw"}),))
    assert (found.x, found.y) == ([None], [None])


def test_fix_times_come_along() -> None:
    found = seen(
        point(1, 2, time=1_700_000_000), point(1, 2), fields=Fields(time="properties.time")
    )
    assert found.times == [1_700_000_000.0, None]


def test_filtered_features_are_shown_unless_their_input_is_published_without_them() -> None:
    slow, fast = point(1, 1, "slow", speed=1), point(2, 2, "fast", speed=9)
    found = seen(slow, collection(slow, fast), steps=(WHERE,))
    assert list(zip(found.inputs, found.ids, strict=True)) == [(0, "slow"), (1, "fast")]


def test_refused_inputs_have_their_id_where_it_can_be_read() -> None:
    done = run(b"nonsense", point(1, 999, "far"), point(1, 2, "good"))
    found = done.sightings
    assert found is not None
    reasons = [REASON_CODES[done.codes[index]][1] for index in found.inputs]
    assert sorted(zip(found.ids, reasons, strict=True)) == [
        ("", "json"), ("far", "coordinate"), ("good", "")
    ]  # fmt: skip
    assert [x for x, ident in zip(found.x, found.ids, strict=True) if ident != "good"] == [None] * 2


def test_ids_are_cut() -> None:
    found = seen(point(1, 2, "x" * 1000), point(1, 999, "\N{PILE OF POO}" * 1000))
    assert [len(ident) for ident in found.ids] == [SIGHTING_ID] * 2


def test_a_chunk_shows_so_many_features_at_most() -> None:
    many = collection(*(point(n % 100, 1, f"i{n}") for n in range(900)))
    found = seen(many, many, b"nonsense")
    assert len(found) == SIGHTINGS
    lengths = {len(c) for c in (found.inputs, found.ids, found.x, found.y, found.times)}
    assert lengths == {SIGHTINGS}


def test_hostile_ids_cost_no_outcome() -> None:
    payloads = [
        b'{"type":"Feature","id":"\\ud800","geometry":null,"properties":{}}',
        b'{"type":"Feature","id":18446744073709551617,"geometry":null,"properties":{}}',
        orjson.dumps({"type": "Feature", "id": "\x00\x1b[2J\u202e", "geometry": None,
                      "properties": {}}),
    ]  # fmt: skip
    found = seen(*payloads)
    assert found.ids[:2] == ["18446744073709551617", "\x00\x1b[2J\u202e"]
    assert checked_sightings(sighted(found), 3) == found


def test_what_was_seen_of_single_inputs_is_joined_under_their_own_numbers() -> None:
    whole = Sightings()
    whole.join(seen(point(1, 2, "b")), [4])
    whole.join(seen(point(3, 4, "a")), [2])
    assert (whole.inputs, whole.ids, whole.x, whole.crs) == (
        [4, 2],
        ["b", "a"],
        [1, 3],
        "EPSG:4326",
    )


def test_the_join_is_bounded_too() -> None:
    many = seen(collection(*(point(1, 1, n + 1) for n in range(700))))
    whole = Sightings()
    for _ in range(3):
        whole.join(many, [0])
    assert len(whole) == len(whole.times) == SIGHTINGS
