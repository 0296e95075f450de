r"""Makes the demo's data from an open timetable (GTFS) and logs of receivers.

    python bench/make_demo_data.py cairns_gtfs.zip service/geoweir/demo/data \
        telit-he910.log bundg_zeus_9.log

The output is the same, byte for byte, for the same input. Where the input comes from, and under
which licence, stands in ``service/geoweir/demo/data/LICENSES.md``.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import itertools
import json
import math
import zipfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyproj
import shapely

Rows = list[dict[str, str]]
Floats = npt.NDArray[np.float64]

WEEKDAY: Final = "CNS2014-CNS_MUL-Weekday-00"
STOP_ZONE_M: Final = 40.0
FASTEST_M_S: Final = 22.0  # between two stops on average
SNAP_M: Final = 150.0  # how far a stop may lie from the shape at a candidate place
HULL_MARGIN_M: Final = 800.0
DEGREES: Final = 6  # decimals, 0.1 m

#: Places that the feed itself names, and the words in stop names that show them. A district is
#: what lies nearer to the middle of these stops than to that of any other place.
PLACES: Final = {
    "Palm Cove": ("Palm Cove",),
    "Clifton Beach": ("Clifton Beach",),
    "Kewarra Beach": ("Kewarra Beach",),
    "Trinity Beach": ("Trinity Beach",),
    "Yorkeys Knob": ("Yorkeys Knob",),
    "Smithfield": ("Smithfield S",),
    "James Cook University": ("James Cook University",),
    "Holloways Beach": ("Holloways Beach",),
    "Machans Beach": ("Machans Beach",),
    "Caravonica": ("Caravonica",),
    "Freshwater": ("Freshwater",),
    "Redlynch": ("Redlynch",),
    "Brinsmead": ("Brinsmead",),
    "Stratford": ("Stratford",),
    "Aeroglen": ("Aeroglen",),
    "Edge Hill": ("Edge Hill",),
    "Whitfield": ("Whitfield",),
    "Raintrees": ("Raintrees",),
    "Cairns City": ("The Pier Cairns",),
    "Parramatta Park": ("Parramatta",),
    "Westcourt": ("Westcourt",),
    "Portsmith": ("Portsmith",),
    "Mooroobool": ("Mooroobool",),
    "Earlville": ("Earlville",),
    "Woree": ("Coconut Village",),
    "White Rock": ("White Rock",),
    "Mount Sheridan": ("Mt Sheridan",),
    "Timberlea": ("Timberlea",),
    "Edmonton": ("Edmonton",),
    "Gordonvale": ("Gordonvale",),
}


@dataclass(frozen=True, slots=True)
class Feed:
    """The tables of a GTFS feed that matter here, and the plane in which metres are measured."""

    routes: Rows
    trips: Rows
    stops: dict[str, dict[str, str]]
    times: dict[str, Rows]
    shapes: dict[str, Floats]
    to_metres: pyproj.Transformer

    @classmethod
    def read(cls, path: Path) -> Feed:
        with zipfile.ZipFile(path) as archive:
            trips = [row for row in table(archive, "trips") if row["service_id"] == WEEKDAY]
            wanted = {trip["trip_id"] for trip in trips}
            times: dict[str, Rows] = defaultdict(list)
            for row in table(archive, "stop_times"):
                if row["trip_id"] in wanted:
                    times[row["trip_id"]].append(row)
            stops = {row["stop_id"]: row for row in table(archive, "stops")}
            return cls(
                routes=table(archive, "routes"),
                trips=trips,
                stops=stops,
                times=times,
                shapes=read_shapes(archive, {trip["shape_id"] for trip in trips}),
                to_metres=local_plane(stops),
            )

    def point(self, stop_id: str) -> tuple[float, float]:
        stop = self.stops[stop_id]
        return float(stop["stop_lon"]), float(stop["stop_lat"])

    def metres(self, lonlat: npt.ArrayLike) -> Floats:
        lons, lats = np.asarray(lonlat, dtype=np.float64).T
        return np.column_stack(self.to_metres.transform(lons, lats))

    def served(self) -> list[str]:
        """The stops that a trip of the day calls at, in the order of the file."""
        called = {row["stop_id"] for rows in self.times.values() for row in rows}
        return [stop for stop in self.stops if stop in called]


def table(archive: zipfile.ZipFile, name: str) -> Rows:
    with archive.open(f"{name}.txt") as file:
        return list(csv.DictReader(io.TextIOWrapper(file, "utf-8-sig")))


def read_shapes(archive: zipfile.ZipFile, wanted: set[str]) -> dict[str, Floats]:
    points: dict[str, list[tuple[int, float, float]]] = defaultdict(list)
    for row in table(archive, "shapes"):
        if row["shape_id"] in wanted:
            points[row["shape_id"]].append(
                (
                    int(row["shape_pt_sequence"]),
                    float(row["shape_pt_lon"]),
                    float(row["shape_pt_lat"]),
                )
            )
    return {
        shape: np.array([point[1:] for point in sorted(rows)]) for shape, rows in points.items()
    }


def local_plane(stops: dict[str, dict[str, str]]) -> pyproj.Transformer:
    """A transverse Mercator through the middle of the network: metres are true to 0.01%."""
    lon = np.mean([float(stop["stop_lon"]) for stop in stops.values()])
    lat = np.mean([float(stop["stop_lat"]) for stop in stops.values()])
    plane = f"+proj=tmerc +lat_0={lat:.4f} +lon_0={lon:.4f} +datum=WGS84 +units=m"
    return pyproj.Transformer.from_crs("EPSG:4326", plane, always_xy=True)


# The timetable.


def timetable(feed: Feed) -> dict[str, Any]:
    """Routes, shapes, patterns (a way to run a shape with its stops) and the day's trips."""
    shape_ids = sorted(feed.shapes)
    patterns: dict[tuple[Any, ...], int] = {}
    trips = []
    for trip in feed.trips:
        rows = sorted(feed.times[trip["trip_id"]], key=lambda row: int(row["stop_sequence"]))
        metres = along(feed, trip["shape_id"], rows)
        seconds = spread([clock(row["arrival_time"]) for row in rows], metres)
        key = (
            route_number(feed, trip),
            shape_ids.index(trip["shape_id"]),
            tuple(round(value, 1) for value in metres),
            tuple(value - seconds[0] for value in seconds),
        )
        trips.append([seconds[0], patterns.setdefault(key, len(patterns))])
    return {
        "routes": [row["route_short_name"] for row in feed.routes],
        "shapes": [deltas(feed.shapes[shape]) for shape in shape_ids],
        "patterns": [list(key) for key in patterns],
        "trips": sorted(trips),
    }


def route_number(feed: Feed, trip: dict[str, str]) -> int:
    return [row["route_id"] for row in feed.routes].index(trip["route_id"])


def clock(text: str) -> int | None:
    """Seconds since midnight; None where the feed leaves a time open."""
    if not text:
        return None
    hours, minutes, seconds = text.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds)


def spread(times: list[int | None], metres: Floats) -> list[int]:
    """A strictly rising time for each stop.

    The feed knows minutes, so that neighbouring stops often have the same one. The first stop of
    a minute keeps it; those between get theirs by distance. Where rounding would ask for more than
    ``FASTEST_M_S`` a bus comes later than the timetable says.
    """
    known = [0]
    for index, time in enumerate(times):
        before = times[known[-1]]
        if index and time is not None and before is not None and time > before:
            known.append(index)
    last = len(times) - 1
    knots = [float(times[index] or 0) for index in known]
    if known[-1] != last:
        # The end shares its minute with stops before it: half a minute for them.
        known.append(last)
        knots.append(knots[-1] + 30.0)
    filled = np.interp(metres, metres[known], knots)
    rising = [int(filled[0])]
    for value, gap in zip(filled[1:], np.diff(metres), strict=True):
        rising.append(max(round(float(value)), rising[-1] + max(5, math.ceil(gap / FASTEST_M_S))))
    return rising


def along(feed: Feed, shape_id: str, rows: Rows) -> Floats:
    """Metres along the shape of each stop, never backwards, with the least squared offset."""
    line = feed.metres(feed.shapes[shape_id])
    lengths = np.hypot(*np.diff(line, axis=0).T)
    starts = np.concatenate(([0.0], np.cumsum(lengths)))
    stops = feed.metres([feed.point(row["stop_id"]) for row in rows])
    candidates = [places(line, lengths, starts, stop) for stop in stops]
    return geodesic_scale(feed, shape_id, best_way(candidates), starts[-1])


def places(line: Floats, lengths: Floats, starts: Floats, stop: Floats) -> Floats:
    """Where a stop may be on the line: (metres along, squared offset) for each segment near it."""
    steps = np.diff(line, axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.einsum("ij,ij->i", stop - line[:-1], steps) / lengths**2
    share = np.clip(np.nan_to_num(share), 0.0, 1.0)
    offsets = np.sum((line[:-1] + share[:, None] * steps - stop) ** 2, axis=1)
    near = offsets <= max(SNAP_M**2, float(offsets.min()))
    return np.asarray(np.column_stack((starts[:-1] + share * lengths, offsets))[near])


def best_way(candidates: list[Floats]) -> Floats:
    """The rising choice of one candidate each with the least sum of squared offsets."""
    costs = [candidates[0][:, 1]]
    came: list[npt.NDArray[np.intp]] = []
    for before, here in itertools.pairwise(candidates):
        reachable = before[:, 0][None, :] <= here[:, 0][:, None] - 1.0
        ways = np.where(reachable, costs[-1][None, :], np.inf)
        came.append(ways.argmin(axis=1))
        costs.append(ways.min(axis=1) + here[:, 1])
    if not np.isfinite(costs[-1].min()):
        raise SystemExit("a trip's stops can't be put on its shape in order")
    choice = [int(costs[-1].argmin())]
    for back in reversed(came):
        choice.append(int(back[choice[-1]]))
    chosen = zip(candidates, reversed(choice), strict=True)
    return np.array([rows[index, 0] for rows, index in chosen])


def geodesic_scale(feed: Feed, shape_id: str, metres: Floats, planar: float) -> Floats:
    """Metres of the plane as metres on the ellipsoid, as the demo measures them."""
    lons, lats = feed.shapes[shape_id].T
    length: float = pyproj.Geod(ellps="WGS84").line_length(lons, lats)
    return metres * (length / planar)


def deltas(points: Floats) -> list[list[int]]:
    """Coordinates in microdegrees, each after the first as the difference to the one before."""
    fixed = np.round(points * 10**DEGREES).astype(np.int64)
    moved = np.diff(fixed, axis=0, prepend=np.zeros((1, 2), dtype=np.int64))
    result: list[list[int]] = moved.T.tolist()
    return result


# The layers.


def stop_zones(feed: Feed) -> dict[str, Any]:
    """A circle around each stop that is served, in EPSG:4326."""
    return collection(
        feature(
            feed,
            shapely.Point(*feed.metres([feed.point(stop)])[0]).buffer(STOP_ZONE_M, quad_segs=8),
            stop,
            {"stop_id": stop, "name": feed.stops[stop]["stop_name"]},
        )
        for stop in feed.served()
    )


def districts(feed: Feed) -> dict[str, Any]:
    """Voronoi cells of the places, within the network's hull, in EPSG:4326."""
    stops = feed.served()
    positions = feed.metres([feed.point(stop) for stop in stops])
    names = [feed.stops[stop]["stop_name"] for stop in stops]
    seeds = {
        place: positions[[any(word in name for word in words) for name in names]].mean(axis=0)
        for place, words in PLACES.items()
    }
    lines = [shapely.LineString(feed.metres(shape)) for shape in feed.shapes.values()]
    hull = shapely.convex_hull(shapely.union_all(lines)).buffer(HULL_MARGIN_M)
    cells = shapely.get_parts(
        shapely.voronoi_polygons(
            shapely.MultiPoint(np.array(list(seeds.values()))), extend_to=hull, ordered=True
        )
    )
    return collection(
        feature(feed, cell & hull, str(number), {"name": place})
        for number, (place, cell) in enumerate(zip(seeds, cells, strict=True), start=1)
    )


def feature(
    feed: Feed, planar: shapely.Geometry, ident: str, properties: dict[str, str]
) -> dict[str, Any]:
    def back(metres: Floats) -> Floats:
        x, y = metres.T
        return np.column_stack(feed.to_metres.transform(x, y, direction="INVERSE"))

    geometry = shapely.set_precision(shapely.transform(planar, back), 10.0**-DEGREES)
    mapping = json.loads(shapely.to_geojson(geometry))
    rings = [
        [[round(x, DEGREES), round(y, DEGREES)] for x, y in ring] for ring in mapping["coordinates"]
    ]
    return {
        "type": "Feature",
        "id": ident,
        "geometry": {"type": mapping["type"], "coordinates": rings},
        "properties": properties,
    }


def collection(features: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"type": "FeatureCollection", "features": list(features)}


def write(path: Path, content: bytes) -> None:
    """Writes a gzip file without a time or a name in it."""
    with path.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as file:
        file.write(content)
    print(f"{path.name}: {path.stat().st_size:,} bytes")


def compact(content: object) -> bytes:
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()


def main() -> None:
    parser = argparse.ArgumentParser(description="Makes the demo's data.")
    parser.add_argument("gtfs", type=Path, help="cairns_gtfs.zip")
    parser.add_argument("folder", type=Path, help="where to write")
    parser.add_argument("logs", type=Path, nargs="+", help="logs of NMEA, shipped as they are")
    args = parser.parse_args()
    feed = Feed.read(args.gtfs)
    write(args.folder / "timetable.json.gz", compact(timetable(feed)))
    write(args.folder / "stops.geojson.gz", compact(stop_zones(feed)))
    write(args.folder / "districts.geojson.gz", compact(districts(feed)))
    for log in args.logs:
        write(args.folder / f"{log.stem}.nmea.gz", log.read_bytes())


if __name__ == "__main__":
    main()
