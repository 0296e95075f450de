from __future__ import annotations

import csv
import gzip
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import pytest
import shapely

from geoweir.codec.key import input_digest
from geoweir.core.outcome import REASON_CODES
from geoweir.core.spec import (
    Fields,
    LayerSpec,
    PrefilterSpec,
    StepSpec,
    TopicSpec,
    WorkerSpec,
)
from geoweir.core.work import ChunkDone, ChunkWork, MessageKind
from geoweir.errors import ConfigurationError, WorkerError
from geoweir.steps.chain import Chain, chains, load_layers
from support.chunks import GOOD, NOW, chunk_of, feature, stream
from support.samples import sample

if TYPE_CHECKING:
    from pathlib import Path


def chain(layers: tuple[LayerSpec, ...] = (), **changes: object) -> Chain:
    spec = WorkerSpec(streams=(stream(**changes),), layers=layers)
    return chains(spec, load_layers(spec))[0]


def outcomes(done: ChunkDone) -> list[tuple[str, str]]:
    return [(str(outcome), reason) for outcome, reason in (REASON_CODES[c] for c in done.codes)]


def point(x: float, y: float, ident: str = "a", **properties: object) -> bytes:
    return feature({"type": "Point", "coordinates": [x, y]}, ident, **properties)


def collection(*features: bytes) -> bytes:
    return b'{"type":"FeatureCollection","features":[' + b",".join(features) + b"]}"


def zones(folder: Path, *boxes: tuple[float, float, float, float]) -> tuple[LayerSpec, ...]:
    path = folder / "zones.ndjson"
    lines = [shapely.to_geojson(shapely.box(*box)) for box in boxes]
    path.write_text("\n".join(lines))
    return (LayerSpec(name="zones", path=str(path)),)


JOIN = StepSpec(
    name="join",
    options={"layer": "zones", "predicate": "within", "attach": ["id"], "match": "first"},
)


def test_a_chunk_goes_the_whole_way(tmp_path: Path) -> None:
    way = chain(zones(tmp_path, (0, 0, 2, 3)), steps=(JOIN,))
    done = way.run(chunk_of(GOOD, point(9, 9, "b")))
    assert outcomes(done) == [("published", "")] * 2
    results = [orjson.loads(message.payload) for message in done.messages]
    assert [message.topic for message in done.messages] == ["geoweir/s/good", "geoweir/s/b"]
    assert [r["properties"] for r in results] == [{"zones_id": "1"}, {"zones_id": None}]
    assert (done.features, len(done.step_seconds)) == (2, 1)


def test_a_rejected_input_has_one_message_with_its_own_key_and_the_others_go_on() -> None:
    work = chunk_of(b"hello", GOOD)
    done = chain().run(work)
    assert outcomes(done) == [("rejected", "json"), ("published", "")]
    [message] = [m for m in done.messages if m.kind == MessageKind.REJECTED]
    assert (message.input, message.topic) == (0, "geoweir/rejected/s")
    assert message.key == f"rejected:{input_digest(work.addresses[0], b'hello')}"
    assert orjson.loads(message.payload)["reason"] == "json"


def test_a_feature_s_error_is_published_as_its_result() -> None:
    way = chain(steps=(StepSpec(name="reproject", options={"to": "EPSG:3857"}),))
    done = way.run(chunk_of(point(0, 90), point(1, 1)))
    assert outcomes(done) == [("published", "")] * 2
    pole, fine = (orjson.loads(message.payload) for message in done.messages)
    assert (pole["geoweir"]["status"], pole["geometry"]) == ("error", None)
    assert fine["geoweir"]["status"] == "valid"


def test_an_input_is_filtered_only_when_all_its_features_are() -> None:
    where = StepSpec(name="where", options={"inside": None, "field": "n", "above": 1})
    done = chain(steps=(where,)).run(
        chunk_of(
            collection(point(0, 0, "a", n=1), point(0, 0, "b", n=2)),
            collection(point(0, 0, "c", n=1), point(0, 0, "d", n=0)),
            collection(point(0, 0, "e", n=2), point(0, 0, "f", n=0)),
            collection(),
        )
    )
    assert outcomes(done) == [
        ("published", ""),
        ("filtered", "where"),
        ("published", ""),
        ("filtered", "no-features"),
    ]
    assert [message.input for message in done.messages] == [0, 2]


def test_the_first_feature_s_reason_is_the_input_s() -> None:
    where = StepSpec(name="where", options={"inside": None, "field": "n", "above": 1})
    box = PrefilterSpec(bbox=(0.0, 0.0, 1.0, 1.0))
    inside, outside = point(0, 0, "a", n=1), point(9, 9, "b", n=5)
    done = chain(steps=(where,), prefilter=box).run(
        chunk_of(collection(inside, outside), collection(outside, inside))
    )
    assert outcomes(done) == [("filtered", "where"), ("filtered", "bbox")]


def test_the_box_is_exact_on_all_vertices_and_never_drops_what_may_intersect() -> None:
    line = {"type": "LineString", "coordinates": [[-9, -9], [5, -9], [5, 0.5]]}
    far = {"type": "LineString", "coordinates": [[-9, -9], [5, -9], [5, -0.5]]}
    done = chain(prefilter=PrefilterSpec(bbox=(0.0, 0.0, 6.0, 6.0))).run(
        chunk_of(feature(line), feature(far), feature(None), point(6, 6))
    )
    assert [reason for _, reason in outcomes(done)] == ["", "bbox", "", ""]


def test_an_input_without_its_output_topic_is_rejected_and_none_of_its_results_sent() -> None:
    way = chain(
        publish=TopicSpec(topic="out/{topic[4]}/{id}"), rejected=TopicSpec(topic="bad/{topic[4]}")
    )
    work = ChunkWork(0, [collection(GOOD, GOOD), GOOD], ["in/a", "in/a/b/c/d"], [NOW, NOW])
    done = way.run(work)
    assert outcomes(done) == [("rejected", "topic"), ("published", "")]
    assert sorted((m.input, m.topic) for m in done.messages) == [
        (0, "geoweir/rejected/s"),
        (1, "out/d/good"),
    ]


def test_a_chunk_as_one_message_is_shared_by_its_published_inputs() -> None:
    way = chain(publish=TopicSpec(topic="out/{stream}", batch="chunk"))
    done = way.run(chunk_of(GOOD, b"", GOOD))
    assert outcomes(done) == [("published", ""), ("rejected", "empty"), ("published", "")]
    assert sorted(message.input for message in done.messages) == [-1, 1]


def test_t08_properties_at_any_depth_end_in_an_outcome(tmp_path: Path) -> None:
    (tmp_path / "row8.py").write_text("def step(chunk): pass\n")
    spec = WorkerSpec(
        streams=(stream(steps=(StepSpec(name="python", options={"call": "row8:step"}),)),),
        module_path=str(tmp_path),
    )
    way = chains(spec, {})[0]
    deep = [
        point(0, 0, d=0).replace(b'"d":0', b'"d":' + b"[" * depth + b"]" * depth)
        for depth in (10, 260, 1000, 5000)
    ]
    done = way.run(chunk_of(*deep, GOOD))
    assert outcomes(done) == [("published", "")] * 3 + [("rejected", "depth"), ("published", "")]
    results = [orjson.loads(m.payload) for m in done.messages if m.kind == MessageKind.RESULT]
    statuses = [result["geoweir"]["status"] for result in results]
    assert statuses == ["valid", "error", "error", "valid"]


def test_a_layer_a_module_or_a_crs_that_is_not_there_stops_the_worker_s_start(
    tmp_path: Path,
) -> None:
    gone = WorkerSpec(streams=(), layers=(LayerSpec(name="z", path=str(tmp_path / "none.json")),))
    with pytest.raises(ConfigurationError, match="there is no such file"):
        load_layers(gone)
    with pytest.raises(ConfigurationError, match="EPSG:99999"):
        chain(crs="EPSG:99999")
    there = LayerSpec(name="z", path=zones(tmp_path, (0, 0, 1, 1))[0].path, crs="EPSG:99998")
    with pytest.raises(ConfigurationError, match="EPSG:99998"):
        chain((there,))
    with pytest.raises(WorkerError, match="can't be imported"):
        chain(steps=(StepSpec(name="python", options={"call": "nowhere:step"}),))


@pytest.mark.samples
def test_the_ais_day_through_the_chain_is_the_direct_shapely_computation() -> None:
    with gzip.open(sample("tracks/ais_us_2022-01-03.csv.gz"), "rt") as lines:
        rows: list[dict[str, Any]] = list(islice(csv.DictReader(lines), 1280))
    names = {name.lower(): name for name in rows[0]}
    x, y = names.get("lon") or names["longitude"], names.get("lat") or names["latitude"]
    places = np.array([[float(row[x]), float(row[y])] for row in rows])
    layers = (LayerSpec(name="zones", path=str(sample("admin/us_counties_10m.geojson.gz"))),)
    spec = WorkerSpec(
        streams=(stream(steps=(JOIN,), format="json", fields=Fields(id="i", x="x", y="y")),),
        layers=layers,
    )
    loaded = load_layers(spec)
    way = chains(spec, loaded)[0]
    found: list[str | None] = []
    for start in range(0, len(places), 128):
        payloads = [
            orjson.dumps({"i": start + n, "x": float(a), "y": float(b)})
            for n, (a, b) in enumerate(places[start : start + 128])
        ]
        done = way.run(chunk_of(*payloads))
        found += [orjson.loads(m.payload)["properties"]["zones_id"] for m in done.messages]
    zones_ = loaded["zones"]
    plain, ids = zones_.geometries(np.argsort(zones_.source)), np.array(list(zones_.ids))
    ids = ids[np.argsort(zones_.source)]
    for place, ident in zip(places, found, strict=True):
        inside = np.flatnonzero(shapely.within(shapely.Point(place), plain))
        assert ident == (ids[inside[0]] if inside.size else None)
