from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import pytest
import shapely
from geoweir.spatial.source import read_source

from geoweir.errors import ConfigurationError
from support.samples import sample

if TYPE_CHECKING:
    from pathlib import Path

SQUARE = [[[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]]]
BOWTIE = [[[0, 0], [2, 2], [2, 0], [0, 2], [0, 0]]]


def feature(coordinates: object, kind: str = "Polygon", **members: object) -> dict[str, object]:
    geometry = {"type": kind, "coordinates": coordinates}
    return {"type": "Feature", "geometry": geometry, "properties": {}} | members


def collection(*features: object) -> bytes:
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


def written(folder: Path, content: bytes, name: str = "layer.geojson") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def test_id_is_the_feature_s_else_the_property_s_else_its_number(tmp_path: Path) -> None:
    content = collection(
        feature(SQUARE, id=7), feature(SQUARE, properties={"id": "p"}), feature(SQUARE)
    )
    assert read_source(written(tmp_path, content)).ids == ["7", "p", "3"]


@pytest.mark.parametrize("name", ["a.geojsonl", "a.geojsons", "a.ndjson", "a.ndjson.gz"])
def test_text_sequences_are_read_with_and_without_record_separators(
    tmp_path: Path, name: str
) -> None:
    line = json.dumps(feature(SQUARE)).encode()
    content = b"\x1e" + line + b"\n\n" + line + b"\r\n"
    content = gzip.compress(content) if name.endswith(".gz") else content
    assert len(read_source(written(tmp_path, content, name)).ids) == 2


def test_a_single_feature_and_a_bare_geometry_are_layers_of_one(tmp_path: Path) -> None:
    single = read_source(written(tmp_path, json.dumps(feature(SQUARE, id="a")).encode()))
    bare = read_source(written(tmp_path, json.dumps(feature(SQUARE)["geometry"]).encode()))
    assert (single.ids, bare.ids) == (["a"], ["1"])
    assert bare.geometries[0].equals(shapely.box(0, 0, 2, 2))


def test_invalid_polygons_are_repaired_to_polygons_and_counted(tmp_path: Path) -> None:
    source = read_source(written(tmp_path, collection(feature(BOWTIE), feature(SQUARE))))
    assert source.repaired == 1
    assert shapely.is_valid(source.geometries).all()
    assert source.geometries[0].area == pytest.approx(2)


def test_collapsed_rings_are_left_out_and_open_ones_closed(tmp_path: Path) -> None:
    content = collection(
        feature([SQUARE, [[[5, 5], [5, 5], [5, 5]]]], "MultiPolygon"),
        feature([SQUARE[0][:-1]]),
        feature([[[5, 5], [6, 6]]]),
    )
    source = read_source(written(tmp_path, content))
    assert [g.area for g in source.geometries] == [4, 4, 0]
    assert source.repaired == 3


def test_features_without_a_geometry_are_kept(tmp_path: Path) -> None:
    content = collection({"type": "Feature", "geometry": None, "properties": None})
    assert read_source(written(tmp_path, content)).geometries.tolist() == [None]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "it is empty"),
        (collection(feature(SQUARE))[:-9], "it ends in the middle"),
        (b"hello", "it is not JSON"),
        (b"[1]", "it is JSON but not GeoJSON"),
        (b'{"type": "FeatureCollection"}', "has no list of features"),
        (collection(1), "feature 1 is no JSON object"),
        (collection({"type": "x"}), "object 1 is neither a Feature nor a geometry"),
        (collection(feature("x", "Point")), "feature 1 has a geometry that can't be read"),
        (collection(feature([["a", 1]], "LineString")), "feature 1 has a geometry"),
        (collection(feature([0, float("nan")], "Point", id="bad")), "feature bad has a coordinate"),
        (
            collection(feature([0, 1], "Point")).replace(b"[0, 1]", b"[0, 1e400]"),
            "feature 1 has a coordinate that is not a finite number",
        ),
    ],
)
def test_a_bad_file_is_one_line_that_names_it(tmp_path: Path, content: bytes, says: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(ConfigurationError) as caught:
        read_source(path)
    text = str(caught.value)
    assert says in text
    assert str(path) in text
    assert "\n" not in text


def test_a_missing_file_a_folder_and_a_cut_gzip_are_named(tmp_path: Path) -> None:
    cut = written(tmp_path, gzip.compress(collection(feature(SQUARE)))[:-12], "cut.geojson.gz")
    fake = written(tmp_path, b"{}", "fake.geojson.gz")
    for path, says in [
        (tmp_path / "none.geojson", "there is no such file"),
        (tmp_path, "it can't be read"),
        (cut, "no whole gzip file"),
        (fake, "no whole gzip file"),
    ]:
        with pytest.raises(ConfigurationError, match=says):
            read_source(path)


@pytest.mark.samples
@pytest.mark.parametrize(
    ("path", "count"),
    [
        ("admin/ne_10m_countries.geojson.gz", 255),
        ("admin/us_counties_10m.geojson.gz", 3231),
        ("admin/us_states_10m.geojson.gz", 56),
        ("admin/ne_110m_countries.geojson", 177),
        ("admin/ne_50m_urban_areas.geojson.gz", 2143),
    ],
)
def test_real_layers_are_read_whole_and_valid(path: str, count: int) -> None:
    source = read_source(sample(path))
    assert len(source.ids) == count
    present = source.geometries[~shapely.is_missing(source.geometries)]
    assert shapely.is_valid(present).all()
    assert set(shapely.get_dimensions(present)) <= {2, -1}
