"""Real positions, real polygons, and what joining them must give.

US vessels in US counties where the recorded samples are beside the project (or where
``GEOWEIR_SAMPLES`` says), else the demo's buses in its districts.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import shapely

from packets import FIRST

__all__ = ["Workload", "prepare", "read_areas"]

_BESIDE: Final = Path(__file__).resolve().parents[2] / "shared" / "samples"
_TRACKS: Final = "tracks/ais_us_2022-01-03.csv.gz"
_COUNTIES: Final = "admin/us_counties_10m.geojson.gz"
_FLEET_STEP_S: Final = 2.0
_COUNT: Final = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What is sent and what it is joined with.

    Attributes:
        about: in words, for the report.
        layer: a GeoJSON file, gzipped.
        payload_bytes: median length.
        inside: share of the positions that lie in an area.
    """

    about: str
    layer: Path
    areas: int
    payload_bytes: int
    inside: float


@dataclass(frozen=True, slots=True)
class _Position:
    device: str
    lon: float
    lat: float
    properties: dict[str, Any]


def prepare(folder: Path, count: int = _COUNT, *, devices: int | None = None) -> Workload:
    """Writes a template of ``count`` messages and what joining them must give.

    Positions repeat where there are fewer; ``devices`` shares them out among so many devices.
    """
    folder.mkdir(parents=True, exist_ok=True)
    samples = Path(os.environ.get("GEOWEIR_SAMPLES", _BESIDE))
    if (samples / _TRACKS).exists() and (samples / _COUNTIES).exists():
        source, layer, about = _vessels(samples / _TRACKS), samples / _COUNTIES, "AIS, US counties"
    else:
        from geoweir.demo.config import DATA_DIR  # noqa: PLC0415 - only where it is needed

        source, layer, about = _buses(DATA_DIR), DATA_DIR / "districts.geojson.gz", "demo fleet"
    positions = list(islice(source, count))
    positions = list(islice(cycle(positions), count))
    if devices is not None:
        positions = [
            replace(position, device=f"d{number % devices}")
            for number, position in enumerate(positions)
        ]
    payloads = [_payload(position) for position in positions]
    with (folder / "messages.tsv").open("wb") as file:
        for position, payload in zip(positions, payloads, strict=True):
            file.write(position.device.encode() + b"\t" + payload + b"\n")
    names, geometries = read_areas(layer)
    expected = _join(positions, names, geometries)
    (folder / "expected.json").write_text(json.dumps(expected), encoding="utf-8")
    (folder / "fence.json").write_text(
        json.dumps(_fence(expected, names, geometries)), encoding="utf-8"
    )
    return Workload(
        about=f"{about}: {count} positions of {len({p.device for p in positions})} devices",
        layer=layer,
        areas=len(names),
        payload_bytes=int(np.median([len(payload) for payload in payloads])),
        inside=sum(names != [None] for names in expected) / count,
    )


def read_areas(layer: Path) -> tuple[list[str], list[shapely.Geometry]]:
    """Names and polygons of a layer, EPSG:4326."""
    with gzip.open(layer) as file:
        features = json.load(file)["features"]
    return (
        [feature["properties"]["name"] for feature in features],
        [shapely.from_geojson(json.dumps(feature["geometry"])) for feature in features],
    )


def _vessels(path: Path) -> Iterator[_Position]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            properties = {
                "time": row["BaseDateTime"] + "Z",
                "sog": float(row["SOG"] or 0),
                "cog": float(row["COG"] or 0),
                "name": row["VesselName"],
            }
            yield _Position(row["MMSI"], float(row["LON"]), float(row["LAT"]), properties)


def _buses(data: Path) -> Iterator[_Position]:
    from geoweir.demo.fleet import Fleet  # noqa: PLC0415 - only where it is needed

    fleet = Fleet.load(data, seed=1, started_at=1_760_000_000.0)
    for step in range(10_000):
        for fix in fleet.positions(step * _FLEET_STEP_S):
            properties = {"time": fix.time, "speed": round(fix.speed_ms, 1), "route": fix.route}
            yield _Position(fix.id, round(fix.lon, 6), round(fix.lat, 6), properties)


def _payload(position: _Position) -> bytes:
    """A template: ``packets`` fills in the number, and the mark where there is one."""
    feature = {
        "type": "Feature",
        "id": position.device,
        "geometry": {"type": "Point", "coordinates": [position.lon, position.lat]},
        "properties": {"seq": FIRST, "mark": 0, **position.properties},
    }
    return json.dumps(feature, separators=(",", ":")).encode()


def _join(
    positions: list[_Position], names: list[str], geometries: list[shapely.Geometry]
) -> list[list[str | None]]:
    points = shapely.points([(position.lon, position.lat) for position in positions])
    point, area = shapely.STRtree(geometries).query(points, predicate="within")
    found: list[list[str | None]] = [[] for _ in positions]
    for index, number in zip(point.tolist(), area.tolist(), strict=True):
        found[index].append(names[number])
    return [names_here or [None] for names_here in found]


def _fence(
    expected: list[list[str | None]], names: list[str], geometries: list[shapely.Geometry]
) -> dict[str, Any]:
    """The area that most positions lie in, of those that are one ring: what one fence can be."""
    rings = {
        name: shapely.get_coordinates(geometry)
        for name, geometry in zip(names, geometries, strict=True)
        if isinstance(geometry, shapely.Polygon)
        and not geometry.interiors
        and names.count(name) == 1
    }
    counts = Counter(name for here in expected for name in here if name in rings)
    name = counts.most_common(1)[0][0] or ""
    return {"name": name, "points": rings[name].tolist()}
