"""Whatever comes in: one code per input, and messages that agree with it."""

from __future__ import annotations

from collections import Counter

import hypothesis.strategies as st
import numpy as np
import orjson
import pytest
import shapely
from hypothesis import given, settings

from geoweir.core.outcome import REASON_CODES, Outcome
from geoweir.core.spec import PrefilterSpec, StepSpec, TopicSpec, WorkerSpec
from geoweir.core.work import MessageKind
from geoweir.spatial.layer import Predicate
from geoweir.steps.chain import chains
from support.chunks import chunk_of, feature, stream
from support.features import layer, objects

ZONES = layer([shapely.box(0, 0, 10, 10), shapely.box(5, 5, 20, 20)])
STEPS = [
    StepSpec(name="validate", options={"repair": "structure", "max_vertices": 500}),
    StepSpec(
        name="join",
        options={"layer": "zones", "predicate": "intersects", "attach": ["id"], "match": "all"},
    ),
    StepSpec(name="where", options={"inside": "zones", "field": None}),
    StepSpec(name="where", options={"inside": None, "field": "n", "above": 0}),
    StepSpec(name="reproject", options={"to": "EPSG:3857"}),
    StepSpec(name="keep", options={"fields": ["n", "zones_id"]}),
    StepSpec(name="drop", options={"fields": ["n"]}),
]

ordinates = st.one_of(
    st.integers(-100, 100), st.floats(-200, 200), st.sampled_from([1e308, -0.0, 5, 10])
)
positions = st.lists(ordinates, min_size=1, max_size=3)
points = st.fixed_dictionaries({"type": st.just("Point"), "coordinates": positions})
lines = st.fixed_dictionaries(
    {"type": st.just("LineString"), "coordinates": st.lists(positions, max_size=4)}
)
polygons = st.lists(positions, min_size=2, max_size=6).map(
    lambda ring: {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
)
places = st.one_of(points, lines, polygons, st.none(), st.just({"type": "Point"}))
features = st.builds(
    lambda place, ident, n: feature(place, ident, n=n),
    places,
    st.one_of(st.text(max_size=3), st.integers(0, 5), st.none()),
    st.one_of(st.integers(-3, 3), st.none(), st.text(max_size=2)),
)
collections = st.lists(features, max_size=4).map(
    lambda some: b'{"type":"FeatureCollection","features":[' + b",".join(some) + b"]}"
)
payloads = st.one_of(features, collections, st.binary(max_size=20), st.just(b""))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(payloads, max_size=8),
    st.lists(st.sampled_from(STEPS), max_size=4),
    st.sampled_from(["none", "chunk"]),
    st.sampled_from(["out/{id}", "out/{stream}", "out/{topic[1]}", "out/{topic[9]}"]),
    st.sampled_from([None, (0.0, 0.0, 30.0, 30.0), (170.0, -90.0, -170.0, 90.0)]),
)
def test_every_input_has_one_code_and_its_messages_agree_with_it(
    given_payloads: list[bytes],
    steps: list[StepSpec],
    batch: str,
    topic: str,
    bbox: tuple[float, float, float, float] | None,
) -> None:
    spec = stream(
        steps=tuple(steps),
        publish=TopicSpec(topic=topic, batch=batch),  # type: ignore[arg-type]
        prefilter=PrefilterSpec(bbox=bbox),
    )
    # The configuration names EPSG:3857, whichever steps were drawn.
    other = stream(name="other", crs="EPSG:3857")
    way = chains(WorkerSpec(streams=(spec, other)), {"zones": ZONES})[0]

    done = way.run(chunk_of(*given_payloads))

    assert len(done.codes) == len(given_payloads)
    assert len(done.step_seconds) == len(steps)
    results = Counter(m.input for m in done.messages if m.kind == MessageKind.RESULT)
    rejected = Counter(m.input for m in done.messages if m.kind == MessageKind.REJECTED)
    published = 0
    for index, code in enumerate(done.codes):
        outcome, _ = REASON_CODES[code]
        published += outcome is Outcome.PUBLISHED
        assert rejected[index] == (outcome is Outcome.REJECTED)
        if batch == "none":
            assert (results[index] > 0) == (outcome is Outcome.PUBLISHED)
    if batch == "chunk":
        assert results == ({-1: 1} if published else {})
    for message in done.messages:
        orjson.loads(message.payload)


whole_points = st.one_of(
    st.none(),
    st.lists(ordinates, min_size=2, max_size=3).map(
        lambda at: {"type": "Point", "coordinates": at}
    ),
)
FAR = StepSpec(name="nearest", options={"layer": "zones", "max_distance": 500_000})


@settings(max_examples=150, deadline=None)
@given(
    st.lists(whole_points, min_size=1, max_size=6),
    st.lists(st.sampled_from([*STEPS, FAR]), max_size=4),
    st.sampled_from([None, (0.0, 0.0, 30.0, 30.0)]),
)
def test_points_fare_the_same_as_positions_and_as_objects(
    some: list[object],
    steps: list[StepSpec],
    bbox: tuple[float, float, float, float] | None,
) -> None:
    # A line among them makes all of the chunk objects.
    spec = stream(steps=tuple(steps), prefilter=PrefilterSpec(bbox=bbox))
    other = stream(name="other", crs="EPSG:3857")
    way = chains(WorkerSpec(streams=(spec, other)), {"zones": ZONES})[0]
    payloads = [feature(place, n=number) for number, place in enumerate(some)]
    line = feature({"type": "LineString", "coordinates": [[1, 1], [2, 2]]}, n=1)

    alone, beside = way.run(chunk_of(*payloads)), way.run(chunk_of(*payloads, line))

    assert alone.codes == beside.codes[:-1]
    assert alone.messages == [one for one in beside.messages if one.input < len(some)]


finite = st.floats(-30, 30)
near = st.one_of(st.sampled_from([0.0, 5.0, 10.0, 20.0]), finite).flatmap(
    lambda value: st.sampled_from([value, np.nextafter(value, 99), np.nextafter(value, -99)])
)


@pytest.mark.parametrize("predicate", ["within", "intersects"])
@settings(max_examples=200, deadline=None)
@given(spots=st.lists(st.tuples(near, near), min_size=1, max_size=6), kind=st.integers(0, 2))
def test_a_join_is_plain_shapely_s_answer_also_one_ulp_off_an_edge(
    predicate: Predicate, spots: list[tuple[float, float]], kind: int
) -> None:
    if kind:
        # Of lines shorter than 1e-300 GEOS says one thing plain and another prepared (3.14.1).
        spots = [tuple(0.0 if abs(v) < 1e-300 else v for v in spot) for spot in spots]  # type: ignore[misc]
    whole = shapely.MultiPoint(spots)
    shapes: list[object] = [shapely.Point(spot) for spot in spots]
    if kind:
        shapes = [whole, whole.convex_hull] if kind == 1 else [shapely.box(*whole.bounds)]
    # GEOS defines no answer for invalid polygons, here boxes without an area.
    array = objects(shapes)
    array = array[shapely.is_valid(array)]
    mine, theirs = ZONES.join(array, predicate, "all")
    test = shapely.within if predicate == "within" else shapely.intersects
    plain = [shapely.from_wkb(zone.wkb) for zone in ZONES.geometries(np.argsort(ZONES.source))]
    expected = [(i, j) for i, a in enumerate(array) for j, b in enumerate(plain) if test(a, b)]
    found = ZONES.source[theirs]
    assert list(zip(mine.tolist(), found.tolist(), strict=True)) == expected
