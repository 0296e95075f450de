from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from geoweir.errors import ConfigurationError
from geoweir.spatial.attributes import Attributes
from geoweir.spatial.file.mapped import MappedFile
from support.layers import Said, compiled_file
from support.service import command

pyogrio = pytest.importorskip("pyogrio.raw")

FIELDS = {
    "id": np.array(["a", "b", None], dtype=object),
    "count": np.array([1, 2**40, -3], dtype=np.int64),
    "share": np.array([0.5, np.nan, 2.0]),
    "day": np.array(["2026-11-25", "NaT", "2026-01-01"], dtype="datetime64[ms]"),
    "flag": np.array([True, False, True]),
}


def written(path: Path, layer: str = "t", crs: str = "EPSG:25832", *, append: bool = False) -> Path:
    shapes: Any = shapely.to_wkb(
        np.array([shapely.Point(5e5, 5.5e6), None, shapely.Point(6e5, 5.5e6)], dtype=object)
    )
    pyogrio.write(
        path,
        shapes,
        list(FIELDS.values()),
        list(FIELDS),
        layer=layer,
        geometry_type="Point",
        crs=crs,
        append=append,
    )
    return path


def columns(file: MappedFile) -> dict[str, list[Any]]:
    order = np.argsort(file.array("source", "<u4"))
    attributes = Attributes.open(file)
    found = {name: attributes.values(name, order) for name in attributes.fields}
    return found | {"": attributes.ids(order)}


def test_a_geopackage_is_compiled_with_its_crs_and_the_types_of_its_fields(tmp_path: Path) -> None:
    file = compiled_file(written(tmp_path / "points.gpkg"))
    assert file.meta["crs"] == "EPSG:25832"
    found = columns(file)
    assert found[""] == ["a", "b", "3"]
    assert found["count"] == [1, 2**40, -3]
    assert found["share"] == [0.5, None, 2.0]
    assert [day and day[:10] for day in found["day"]] == ["2026-11-25", None, "2026-01-01"]
    assert found["flag"] == [True, False, True]


def test_a_layer_of_several_must_be_named(tmp_path: Path) -> None:
    path = written(written(tmp_path / "two.gpkg"), "other", append=True)
    with pytest.raises(ConfigurationError, match=r"has 2 layers. Name one with --layer: t, other"):
        compiled_file(path)
    with pytest.raises(ConfigurationError, match=r"no layer 'x'. Its layers: t, other"):
        compiled_file(path, table="x")
    assert compiled_file(path, table="other").meta["features"] == 3


def test_a_crs_without_a_code_is_reprojected_to_the_world_s(tmp_path: Path) -> None:
    own = "+proj=tmerc +lat_0=0 +lon_0=9 +k=0.99987 +x_0=500000 +ellps=WGS84 +units=m"
    file = compiled_file(written(tmp_path / "own.gpkg", crs=own))
    assert file.meta["crs"] == "EPSG:4326"
    assert file.meta["bounds"][:2] == pytest.approx([9, 49.63], abs=0.01)


def test_what_gdal_cannot_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.gpkg").write_bytes(b"nothing of the kind")
    for name, says in [("a.gpkg", "GDAL can't read it"), ("none.gpkg", "there is no such file")]:
        with pytest.raises(ConfigurationError, match=says) as caught:
            compiled_file(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_without_pyogrio_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyogrio", None)
    with pytest.raises(ConfigurationError, match=r"install geoweir\[formats\]"):
        compiled_file(tmp_path / "a.gpkg", Said())


def test_t21_a_source_that_makes_gdal_read_another_file_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.geojson"
    other.write_text(
        '{"type": "FeatureCollection", "features": [{"type": "Feature", "id": "secret",'
        ' "properties": {}, "geometry": {"type": "Point", "coordinates": [1, 2]}}]}'
    )
    bait = tmp_path / "bait.gpkg"  # GDAL looks at the content, not at the name
    bait.write_text(
        f'<OGRVRTDataSource><OGRVRTLayer name="other"><SrcDataSource>{other}</SrcDataSource>'
        "</OGRVRTLayer></OGRVRTDataSource>"
    )
    done = command("compile", str(bait), "-o", "made.gwl", folder=tmp_path)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "made.gwl").exists()


@pytest.mark.parametrize(
    "name", ["/vsicurl/http://127.0.0.1:9/x.gpkg", "http://127.0.0.1:9/x.gpkg"]
)
def test_t21_a_source_is_a_file(tmp_path: Path, name: str) -> None:
    done = command("compile", name, "-o", "made.gwl", folder=tmp_path)
    assert done.returncode != 0
    assert "there is no such file" in done.stderr
