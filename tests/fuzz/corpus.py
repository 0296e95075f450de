"""Small sound files to be damaged, written by what writes the real ones.

    shapes     every kind of polygon: holes, parts, overlaps, shared edges, slivers, far and near
    countries  real ones, with attributes (Natural Earth 1:110m, public domain)
    lines      lines of one part and of several
    points     points and multipoints
    mixed      all dimensions in one layer, and features without a geometry
    one        a single triangle
    none       a layer without features
    heights    a compiled raster of floats with a mask, of several tiles
    classes    one of bytes, sheared and scaled

They are made anew for each run, so that they are always of the format that is fuzzed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson
import shapely

from geoweir.spatial.file.mapped import MappedFile
from geoweir.spatial.file.writer import FileWriter
from geoweir.spatial.layerfile import LayerFeatures, ragged_of, write_layer
from geoweir.spatial.segments import build
from support.rasters import write

__all__ = ["make_corpus"]

COUNTRIES: Final = Path(__file__).parent / "countries.geojson"

_Geometries = list[Any]


def make_corpus(folder: Path) -> list[Path]:
    """Writes the files; their paths."""
    return [*_layers(folder), *_rasters(folder)]


def _layers(folder: Path) -> Iterator[Path]:
    rng = np.random.default_rng(20261125)
    features = orjson.loads(COUNTRIES.read_bytes())["features"]
    countries = [shapely.from_geojson(orjson.dumps(one["geometry"])) for one in features]
    yield _written(folder, "countries", countries, [one["properties"] for one in features])
    for name, geometries in {
        "shapes": _shapes(rng),
        "lines": _lines(rng),
        "points": _points(rng),
        "mixed": [*_shapes(rng)[:9], None, *_lines(rng)[:9], *_points(rng)[:9], None],
        "one": [shapely.Polygon([(0, 0), (1, 0), (0, 1)])],
        "none": [],
    }.items():
        yield _written(folder, name, geometries, [_properties(number) for number in range(60)])


def _properties(number: int) -> dict[str, Any]:
    """A column of each kind, and one that only some features have."""
    made: dict[str, Any] = {
        "bool": number % 2 == 0,
        "int": number,
        "float": number / 3,
        "number": number if number % 2 else number / 2 + 0.25,
        "words": f"word {number % 5}",
        "json": [number, {"deep": None}],
    }
    return made if number % 3 else made | {"sparse": -number}


def _written(
    folder: Path, name: str, geometries: _Geometries, properties: list[dict[str, Any]]
) -> Path:
    array: npt.NDArray[np.object_] = np.empty(len(geometries), dtype=object)
    array[:] = geometries
    ids = [f"{name}{number}" for number in range(len(array))]
    given = LayerFeatures(ids, properties[: len(array)], array)
    path = folder / f"{name}.gwl"
    write_layer(path, "EPSG:4326", given, name)
    _with_segments(path)
    return path


def _with_segments(path: Path) -> None:
    """Writes the file again with the segment index, where it has none yet."""
    file = MappedFile.open(path)
    sections = file.header.sections.values()
    if any(one.name.startswith("segments.") for one in sections):
        return
    arrays = {one.name: file.array(one.name, one.dtype, one.columns) for one in sections}
    with FileWriter(path, "layer") as writer:
        for name, array in {**arrays, **build(ragged_of(file), "EPSG:4326")}.items():
            writer.add(name, array)
        writer.finish()


def _shapes(rng: np.random.Generator) -> _Geometries:
    places, radii = rng.uniform(-5, 5, (12, 2)), rng.uniform(0.2, 4, 12)
    circles = [
        shapely.Point(place).buffer(radius) for place, radius in zip(places, radii, strict=True)
    ]
    corners = [(x, y) for x in range(-3, 3) for y in range(-3, 3)]
    squares = [shapely.box(x, y, x + 1, y + 1) for x, y in corners]
    ring = shapely.Point(0, 0).buffer(9).difference(shapely.Point(0, 0).buffer(8))
    parts = shapely.MultiPolygon([shapely.box(20, 0, 21, 1), shapely.box(22, 0, 23, 1)])
    sliver = shapely.Polygon([(0, 0), (100, 1e-9), (50, 2e-9)])
    return [*circles, *squares, ring, parts, sliver]


def _lines(rng: np.random.Generator) -> _Geometries:
    walks = [
        np.cumsum(rng.normal(0, 0.1, (30, 2)), axis=0) + rng.uniform(-5, 5, 2) for _ in range(20)
    ]
    lines = [shapely.LineString(walk) for walk in walks]
    return [*lines[:15], shapely.MultiLineString(lines[15:])]


def _points(rng: np.random.Generator) -> _Geometries:
    points = [shapely.Point(place) for place in rng.uniform(-5, 5, (20, 2))]
    return [*points[:15], shapely.MultiPoint(points[15:])]


def _rasters(folder: Path) -> Iterator[Path]:
    rng = np.random.default_rng(20261125)
    heights = rng.normal(100, 20, (90, 140)).astype("<f4")
    flags = (rng.random((90, 140)) > 0.1).astype(np.uint8)
    path = folder / "heights.gwr"
    write(path, heights, transform=(0.1, 0, -7, 0, -0.1, 4.5), flags=[flags], nodata=-9999.0)
    yield path
    path = folder / "classes.gwr"
    classes = rng.integers(0, 7, (64, 65)).astype(np.uint8)
    sheared = (0.2, 0.05, -6, 0.05, -0.2, 6)
    write(path, classes, transform=sheared, scale=2.0, offset=1.0)
    yield path


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Writes the corpus into a folder.")
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    for path in make_corpus(given.folder):
        print(path.name, path.stat().st_size)
