"""Real positions and real polygons, and what shapely itself says about them."""

from __future__ import annotations

import csv
import gzip
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import shapely

from geoweir.demo.config import DATA_DIR
from support.samples import SAMPLES

__all__ = ["Place", "World", "world"]

_AIS = "tracks/ais_us_2022-01-03.csv.gz"
_COUNTIES = "admin/us_counties_10m.geojson.gz"


@dataclass(frozen=True, slots=True)
class Place:
    """One position of a device: its id, x and y."""

    ident: str
    x: float
    y: float


@dataclass(frozen=True)
class World:
    """Positions, and a layer with the field ``name``."""

    places: list[Place]
    layer: Path
    names: list[str]
    polygons: np.ndarray[tuple[int], np.dtype[np.object_]]

    def payload(self, number: int) -> bytes:
        """The position as a message; ``n`` says which one it is."""
        place = self.places[number]
        return json.dumps(
            {
                "type": "Feature",
                "id": place.ident,
                "geometry": {"type": "Point", "coordinates": [place.x, place.y]},
                "properties": {"n": number},
            }
        ).encode()

    def expected(self, count: int) -> list[str | None]:
        """For each position the name of the first polygon that it is within."""
        points = shapely.points([(place.x, place.y) for place in self.places[:count]])
        found, polygons = shapely.STRtree(self.polygons).query(points, predicate="within")
        first = dict.fromkeys(range(count), len(self.names))
        for number, polygon in zip(found.tolist(), polygons.tolist(), strict=True):
            first[number] = min(first[number], polygon)
        return [*(None if at == len(self.names) else self.names[at] for at in first.values())]


@cache
def world(count: int) -> World:
    """An AIS day and the counties of the USA, or else the demo's stops and districts."""
    if (SAMPLES / _AIS).exists():
        return _world(_ships(SAMPLES / _AIS, count), SAMPLES / _COUNTIES)
    return _world(_stops(count), DATA_DIR / "districts.geojson.gz")


def _world(places: list[Place], layer: Path) -> World:
    features = json.loads(gzip.decompress(layer.read_bytes()))["features"]
    polygons = np.array([shapely.from_geojson(json.dumps(f["geometry"])) for f in features])
    return World(places, layer, [f["properties"]["name"] for f in features], polygons)


def _ships(path: Path, count: int) -> list[Place]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        return [
            Place(row["MMSI"], float(row["LON"]), float(row["LAT"]))
            for _, row in zip(range(count), rows, strict=False)
        ]


def _stops(count: int) -> list[Place]:
    data = gzip.decompress((DATA_DIR / "stops.geojson.gz").read_bytes())
    centres = [
        shapely.centroid(shapely.from_geojson(json.dumps(f["geometry"])))
        for f in json.loads(data)["features"]
    ]
    noise = np.random.default_rng(1).normal(0, 0.01, (count, 2)).tolist()
    return [
        Place(f"bus-{n % 300}", centre.x + dx, centre.y + dy)
        for n, (dx, dy) in enumerate(noise)
        for centre in (centres[n % len(centres)],)
    ]
