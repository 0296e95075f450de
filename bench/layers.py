"""Layers to measure and to check with: real ones of the samples, and generated ones.

Every generator gives valid polygons in one array, from a seed.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import shapely
from errors import MissingError

from geoweir.spatial.file.mapped import MappedFile
from geoweir.spatial.layer import Layer
from geoweir.spatial.layerfile import LayerFeatures, write_layer
from geoweir.spatial.source import read_source

__all__ = ["GENERATED", "REAL", "SAMPLES", "compiled", "opened", "polygons", "voronoi"]

Geometries = npt.NDArray[np.object_]

_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "samples"
SAMPLES: Final = Path(os.environ.get("GEOWEIR_SAMPLES", _BESIDE))
#: The polygon layers of the samples.
REAL: Final = {
    "countries-110m": "admin/ne_110m_countries.geojson",
    "countries-50m": "admin/ne_50m_countries.geojson",
    "countries": "admin/ne_10m_countries.geojson.gz",
    "admin1": "admin/ne_50m_admin1.geojson",
    "urban": "admin/ne_50m_urban_areas.geojson.gz",
    "counties": "admin/us_counties_10m.geojson.gz",
    "states": "admin/us_states_10m.geojson.gz",
    "buildings": "lines/helsinki_buildings_osm.geojson.gz",
    "warnings": "alerts/nws_warning_polygons.geojson",
}


def voronoi(count: int, seed: int = 1) -> Geometries:
    """Voronoi cells of random points in ten degrees, cut at the square."""
    rng = np.random.default_rng(seed)
    points = shapely.multipoints(rng.uniform(0, 10, (count, 2)))
    cells = shapely.get_parts(shapely.voronoi_polygons(points))
    outer = ~shapely.contains_properly(shapely.box(0, 0, 10, 10), cells)
    cells[outer] = shapely.intersection(cells[outer], shapely.box(0, 0, 10, 10))
    kept: Geometries = cells[~shapely.is_empty(cells) & (shapely.get_dimensions(cells) == 2)]
    return kept


def slivers(count: int = 2000, seed: int = 2) -> Geometries:
    """Long triangles a hundred-millionth wide, many of them side by side."""
    rng = np.random.default_rng(seed)
    starts, turns = rng.uniform(0, 10, (count, 2)), rng.uniform(0, np.pi, count)
    starts[: count // 2] = starts[0] + rng.uniform(0, 1e-6, (count // 2, 2))
    turns[: count // 2] = turns[0]
    along = 5 * np.column_stack([np.cos(turns), np.sin(turns)])
    aside = 1e-8 * np.column_stack([-along[:, 1], along[:, 0]])
    rings = np.stack([starts, starts + along, starts + along / 2 + aside, starts], axis=1)
    return _valid(shapely.polygons(rings))


def nested(depth: int = 200) -> Geometries:
    """Square rings one within the other, each filling the hole of the next with equal edges."""
    sides = np.linspace(5, 0.01, depth + 1)
    boxes = shapely.box(5 - sides, 5 - sides, 5 + sides, 5 + sides)
    return np.array(
        [
            shapely.polygons(shapely.get_exterior_ring(a), [shapely.get_exterior_ring(b)])
            for a, b in zip(boxes[:-1], boxes[1:], strict=True)
        ]
    )


def grid(side: int = 60) -> Geometries:
    """Squares that share edges, whose coordinates are no dyadic fractions."""
    steps = np.arange(side + 1) * 0.1
    x, y = (axis.ravel() for axis in np.meshgrid(range(side), range(side)))
    made: Geometries = shapely.box(steps[x], steps[y], steps[x + 1], steps[y + 1])
    return made


def touching(count: int = 300, seed: int = 3) -> Geometries:
    """Multipolygons whose parts touch in points, and holes that touch the shell."""
    rng = np.random.default_rng(seed)
    made = []
    for x, y in rng.uniform(0, 10, (count, 2)):
        size = 0.3
        diamonds = [
            shapely.polygons([(a, y), (a + size, y - size), (a + 2 * size, y), (a + size, y + size)])
            for a in (x, x + 2 * size)
        ]
        hole = [(x, y), (x + size, y - size / 4), (x + size, y + size / 4)]
        holed = shapely.Polygon(shapely.get_coordinates(diamonds[0]), [hole])
        made.append(shapely.MultiPolygon([holed, diamonds[1]]))
    return _valid(np.array(made))


def stars(count: int = 40, points: int = 400, seed: int = 4) -> Geometries:
    """Triangles that meet in one point, many at each."""
    rng = np.random.default_rng(seed)
    made = []
    for centre in rng.uniform(0, 10, (count, 2)):
        turns = np.sort(rng.uniform(0, 2 * np.pi, points))
        ends = centre + np.column_stack([np.cos(turns), np.sin(turns)])
        for k in range(0, points - 1, 2):
            made.append(shapely.polygons([centre, ends[k], ends[k + 1]]))
    return _valid(np.array(made))


def circles(count: int = 10_000, seed: int = 5) -> Geometries:
    """Circles of 64 vertices, any spot under hundreds of them."""
    rng = np.random.default_rng(seed)
    centres = shapely.points(rng.uniform(0, 10, (count, 2)))
    made: Geometries = shapely.buffer(centres, rng.uniform(0.1, 2, count), quad_segs=16)
    return made


def tiny(count: int = 300, seed: int = 6) -> Geometries:
    """Triangles far from the origin whose sides are a few ulps."""
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 9, (count, 3, 2)).astype(float)
    return _valid(shapely.polygons(1e6 + corners * np.spacing(1e6)))


GENERATED: Final[dict[str, Callable[[], Geometries]]] = {
    "voronoi-2k": lambda: voronoi(2000),
    "slivers": slivers,
    "nested": nested,
    "grid": grid,
    "touching": touching,
    "stars": stars,
    "circles": circles,
    "tiny": tiny,
    "voronoi-50k": lambda: voronoi(50_000),
    "voronoi-500k": lambda: voronoi(500_000),
}


def polygons(name: str) -> Geometries:
    """The polygons of a layer by its name here; MissingError where there is no sample."""
    if name in GENERATED:
        return GENERATED[name]()
    path = SAMPLES / REAL[name]
    if not path.exists():
        raise MissingError(f"the sample {REAL[name]} is not here: set GEOWEIR_SAMPLES")
    geometries = read_source(path).geometries
    return geometries[shapely.is_valid(geometries) & ~shapely.is_empty(geometries)]


def compiled(geometries: Geometries, path: Path) -> None:
    """Writes a layer file of them, ids being their numbers."""
    numbers = [str(number) for number in range(len(geometries))]
    rows: list[dict[str, Any]] = [{} for _ in numbers]
    write_layer(path, "EPSG:4326", LayerFeatures(numbers, rows, geometries), path.name)


def opened(geometries: Geometries) -> Layer:
    """A layer of them out of a file that is gone when the layer is."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "layer.gwl"
        compiled(geometries, path)
        return Layer.open("layer", MappedFile.open(path))


def _valid(geometries: Geometries) -> Geometries:
    kept: Geometries = geometries[shapely.is_valid(geometries)]
    return kept
