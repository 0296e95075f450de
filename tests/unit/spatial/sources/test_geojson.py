from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import shapely

from geoweir.errors import ConfigurationError
from geoweir.spatial.sources.batch import Batch, Selection
from geoweir.spatial.sources.opening import opened
from support.layers import Said, compiled_file, compiled_layer
from support.samples import sample

SQUARE = [[[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]]]


def feature(coordinates: object, kind: str = "Polygon", **members: object) -> dict[str, object]:
    geometry = {"type": kind, "coordinates": coordinates}
    return {"type": "Feature", "geometry": geometry, "properties": {}} | members


def collection(*features: object, **members: object) -> bytes:
    return json.dumps({"type": "FeatureCollection", **members, "features": features}).encode()


def written(folder: Path, content: bytes, name: str = "layer.geojson") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def read(path: Path, **selection: Any) -> list[Batch]:
    with opened(str(path), Selection(**selection)) as source:
        return list(source.batches())


def test_id_is_the_feature_s_else_the_property_s_else_its_number(tmp_path: Path) -> None:
    content = collection(
        feature(SQUARE, id=7), feature(SQUARE, properties={"id": "p"}), feature(SQUARE)
    )
    assert read(written(tmp_path, content))[0].ids == ["7", "p", "3"]


def test_an_id_that_was_asked_for_is_taken_from_nowhere_else(tmp_path: Path) -> None:
    content = collection(
        feature(SQUARE, id=7, properties={"code": 12345678901234567890123}), feature(SQUARE, id=8)
    )
    (batch,) = read(written(tmp_path, content), id_field="code")
    assert batch.ids == ["12345678901234567890123", None]


@pytest.mark.parametrize("name", ["a.geojsonl", "a.geojsons", "a.ndjson", "a.ndjson.gz"])
@pytest.mark.parametrize("is_separated", [True, False])
def test_text_sequences_are_read_with_and_without_record_separators(
    tmp_path: Path, name: str, is_separated: bool
) -> None:
    # Only a separator lets a text have lines.
    line = json.dumps(feature(SQUARE), indent=1 if is_separated else None).encode()
    content = b"\x1e" + line + b"\n\x1e" + line if is_separated else line + b"\n\n" + line + b"\r\n"
    content = gzip.compress(content) if name.endswith(".gz") else content
    assert len(read(written(tmp_path, content, name))[0].ids) == 2


def test_a_single_feature_and_a_bare_geometry_are_layers_of_one(tmp_path: Path) -> None:
    single = compiled_layer(written(tmp_path, json.dumps(feature(SQUARE, id="a")).encode()))
    bare = compiled_layer(written(tmp_path, json.dumps(feature(SQUARE)["geometry"]).encode()))
    assert [*single.column("id"), *bare.column("id")] == ["a", "1"]


def test_collapsed_rings_are_left_out_and_open_ones_closed(tmp_path: Path) -> None:
    content = collection(
        feature([SQUARE, [[[5, 5], [5, 5], [5, 5]]]], "MultiPolygon"),
        feature([SQUARE[0][:-1]]),
        feature([[[5, 5], [6, 6]]]),
    )
    (batch,) = read(written(tmp_path, content))
    assert [shapely.area(g) for g in batch.geometries] == [4, 4, 0]
    assert batch.mended[-2:] == [1, 2]


def test_features_without_a_geometry_are_kept(tmp_path: Path) -> None:
    content = collection({"type": "Feature", "geometry": None, "properties": None})
    assert read(written(tmp_path, content))[0].geometries.tolist() == [None]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "it is empty"),
        (collection(feature(SQUARE))[:-1], "it ends in the middle"),
        (collection(feature(SQUARE))[:-9], "it ends in the middle"),
        (collection(feature(SQUARE))[:20], "it ends in the middle"),
        (b"hello", "it is not JSON"),
        (b"[1]", "it is JSON but not GeoJSON"),
        (b'{"features": [{}]}'.replace(b"{}", collection()), "object 1 is neither"),
        (b'{"features": []}', "it is JSON but not GeoJSON"),
        (b'{"type": "FeatureCollection"}', "has no list of features"),
        (collection(1), "feature 1 is no JSON object"),
        (collection([1]), "feature 1 is no JSON object"),
        (collection(feature(SQUARE)).replace(b"}]}", b"},]}"), "feature 2 is no JSON object"),
        (collection(feature(SQUARE), feature(SQUARE)).replace(b"}, {", b"} {"), "no comma before"),
        (collection({"type": "x"}), "object 1 is neither a Feature nor a geometry"),
        (collection(feature(SQUARE, properties=[1])), "feature 1 has malformed properties"),
        (collection(feature(SQUARE), crs={"type": "link"}), "its crs names none"),
    ],
)
def test_a_bad_file_is_one_line_that_names_it(tmp_path: Path, content: bytes, says: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(ConfigurationError) as caught:
        read(path)
    text = str(caught.value)
    assert says in text
    assert str(path) in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("one", "says"),
    [
        (feature("x", "Point"), "its geometry can't be read"),
        (feature([["a", 1]], "LineString"), "its geometry can't be read"),
        (feature([0, float("nan")], "Point"), "a coordinate is not a finite number"),
        (feature([0, float("inf")], "Point"), "a coordinate is not a finite number"),
    ],
)
def test_a_geometry_that_cannot_be_read_costs_its_feature_only(
    tmp_path: Path, one: dict[str, object], says: str
) -> None:
    said: Said = []
    path = written(tmp_path, collection(feature(SQUARE, id="a"), one | {"id": "bad"}))
    file = compiled_file(path, said)
    assert [(ident, kind) for ident, kind, _ in said] == [("bad", "refused")]
    assert says in said[0][2]
    assert file.meta["features"] == 1


def test_a_number_too_large_for_a_float_is_not_finite(tmp_path: Path) -> None:
    said: Said = []
    content = collection(feature([0, 1], "Point")).replace(b"[0, 1]", b"[0, 1e400]")
    compiled_file(written(tmp_path, content), said)
    assert said == [("1", "refused", "a coordinate is not a finite number")]


def test_the_crs_member_of_older_geojson_is_believed(tmp_path: Path) -> None:
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::25832"}}
    path = written(tmp_path, collection(feature([500000, 5500000], "Point"), crs=crs))
    assert compiled_file(path).meta["crs"] == "EPSG:25832"
    west, south, *_ = compiled_file(path, crs="EPSG:4326").meta["bounds"]
    assert (west, south) == pytest.approx((9, 49.65), abs=0.01)


def test_a_crs_that_stands_too_late_is_pointed_out(tmp_path: Path) -> None:
    crs = {"type": "name", "properties": {"name": "EPSG:25832"}}
    content = (
        collection(feature([5, 5], "Point"))[:-1] + b', "crs": ' + json.dumps(crs).encode() + b"}"
    )
    with pytest.raises(ConfigurationError, match="its crs stands after its features"):
        read(written(tmp_path, content))


def test_a_missing_file_a_folder_and_a_cut_gzip_are_named(tmp_path: Path) -> None:
    cut = written(tmp_path, gzip.compress(collection(feature(SQUARE)))[:-12], "cut.geojson.gz")
    fake = written(tmp_path, b"{}", "fake.geojson.gz")
    (tmp_path / "folder.geojson").mkdir()
    for path, says in [
        (tmp_path / "none.geojson", "there is no such file"),
        (tmp_path / "folder.geojson", "it can't be read"),
        (cut, "no whole gzip file"),
        (fake, "no whole gzip file"),
    ]:
        with pytest.raises(ConfigurationError, match=says):
            read(path)


@pytest.mark.samples
@pytest.mark.parametrize(
    ("path", "count", "refused"),
    [
        ("admin/ne_10m_countries.geojson.gz", 255, 1),
        ("admin/us_counties_10m.geojson.gz", 3231, 1),
        ("admin/us_states_10m.geojson.gz", 56, 0),
        ("admin/ne_110m_countries.geojson", 177, 0),
        ("admin/ne_50m_urban_areas.geojson.gz", 2143, 0),
    ],
)
def test_real_layers_are_compiled_whole_and_valid(path: str, count: int, refused: int) -> None:
    said: Said = []
    file = compiled_file(sample(path), said)
    assert file.meta["features"] == count - refused
    assert sum(kind == "refused" for _, kind, _ in said) == refused
