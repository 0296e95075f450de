"""The nearest road: geoweir beside shapely's STRtree, on real lines, in chunks and in bulk.

Everything runs by turns in one process and the best of several rounds counts. Each candidate
answers for the same points and the same distance; before anything is timed, geoweir's distances
are compared with Karney's geodesics to the places that it found.

    python bench/nearest.py [--rounds N] [--json FILE]

`query_nearest` is shapely's fastest form, on a tree of lines or of single segments; it gives a
feature and degrees. `… + metres` is what it takes to know as much as geoweir's answer says: the
place, the measure and the geodesic. Layers are those of the samples, and the roads tiled to about a
million segments, each tile shifted by a tenth of a street.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyproj
import shapely

from geoweir.spatial.kernel.loaded import has_kernel
from geoweir.spatial.ragged import Ragged
from geoweir.spatial.segments import SegmentIndex, build

SAMPLES: Final = Path(
    os.environ.get("GEOWEIR_SAMPLES", Path(__file__).resolve().parents[2] / "shared" / "samples")
)
ROADS: Final = "lines/helsinki_roads_osm.geojson.gz"
RAILS: Final = "lines/ne_10m_railroads_north_america.geojson.gz"
CRS: Final = "EPSG:4326"
CHUNK: Final = 128
BULK: Final = 20_000
TILES: Final = 11  # per axis: 121 times the roads
TOLERANCE: Final = 0.001  # metres

_Geometries = npt.NDArray[np.object_]
_Points = npt.NDArray[np.float64]
_Answer = Callable[[_Points], object]


@dataclass(frozen=True, slots=True)
class Case:
    """A layer and how far is looked."""

    name: str
    lines: _Geometries
    max_distance: float  # metres


def read(path: str) -> _Geometries:
    """The lines of a sample."""
    with gzip.open(SAMPLES / path) as file:
        features = json.load(file)["features"]
    return np.array([shapely.geometry.shape(f["geometry"]) for f in features], dtype=object)


def tiled(lines: _Geometries) -> _Geometries:
    """The lines beside each other, no two tiles alike."""
    west, south, east, north = shapely.total_bounds(lines)
    rng = np.random.default_rng(4)
    made = []
    for column in range(TILES):
        for row in range(TILES):
            shift = np.array([column * (east - west), row * (north - south)])
            shift += rng.uniform(-1, 1, 2) * (east - west) / 1000
            moved = shapely.get_coordinates(lines) + shift
            made.append(shapely.set_coordinates(lines.copy(), moved))
    return np.concatenate(made)


def segments(lines: _Geometries) -> _Geometries:
    """Each segment as a line of its own."""
    xy, owner = shapely.get_coordinates(lines, return_index=True)
    inner = np.flatnonzero(owner[1:] == owner[:-1])
    both = np.stack([xy[inner], xy[inner + 1]], axis=1)
    return np.asarray(shapely.linestrings(both))


def candidates(case: Case, index: SegmentIndex) -> dict[str, _Answer]:
    """What is compared; the STRtrees are built here, by their first query."""
    lines: _Geometries = shapely.get_parts(case.lines)
    degrees = case.max_distance / 111_320 / np.cos(np.radians(shapely.total_bounds(lines)[1]))
    whole, single = shapely.STRtree(lines), shapely.STRtree(segments(lines))
    geod = pyproj.Geod(ellps="WGS84")
    for tree in (whole, single):
        tree.query(shapely.Point(0, 0))

    def by(tree: shapely.STRtree) -> _Answer:
        return lambda xy: tree.query_nearest(
            shapely.points(xy), max_distance=degrees, return_distance=True, all_matches=False
        )

    def complete(xy: _Points) -> object:
        points: _Geometries = np.asarray(shapely.points(xy))
        (mine, theirs), _ = whole.query_nearest(
            points, max_distance=degrees, return_distance=True, all_matches=False
        )
        along = shapely.line_locate_point(lines[theirs], points[mine])
        places = shapely.get_coordinates(shapely.line_interpolate_point(lines[theirs], along))
        return geod.inv(xy[mine, 0], xy[mine, 1], places[:, 0], places[:, 1])

    made: dict[str, _Answer] = {
        "geoweir": lambda xy: index.nearest(xy, case.max_distance),
        "geoweir without kernel": lambda xy: index.without_kernel(xy, case.max_distance),
        "query_nearest, lines": by(whole),
        "query_nearest, segments": by(single),
        "query_nearest, lines + metres": complete,
    }
    return made


def checked(index: SegmentIndex, case: Case, xy: _Points) -> tuple[float, float]:
    """The largest error in metres against Karney's geodesics, and the share of points with one."""
    found = index.nearest(xy, case.max_distance)
    hits = np.flatnonzero(found["vertex"] >= 0)
    places = np.column_stack([found["lon"][hits], found["lat"][hits]])
    error = float(np.abs(index.geodetic.lengths(xy[hits], places) - found["distance"][hits]).max())
    if error > TOLERANCE:
        raise SystemExit(f"{case.name}: a distance is wrong by {error} m")
    return error, len(hits) / len(xy)


def best_of(answers: dict[str, _Answer], xy: _Points, rounds: int) -> dict[str, float]:
    """Seconds of each candidate's best round, taken by turns."""
    best = dict.fromkeys(answers, float("inf"))
    for _ in range(rounds):
        for name, answer in answers.items():
            started = time.perf_counter()
            answer(xy)
            best[name] = min(best[name], time.perf_counter() - started)
    return best


def measured(case: Case, rounds: int) -> dict[str, Any]:
    """One case: the size and build of the index, and the times in chunks and in bulk."""
    ragged = Ragged.from_shapely(case.lines)
    started = time.perf_counter()
    sections = build(ragged, CRS)
    build_s = time.perf_counter() - started
    index = SegmentIndex.of(sections, ragged, CRS)
    count = int((np.diff(ragged.rings.astype(np.int64)) - 1).clip(0).sum())
    low, high = np.split(shapely.total_bounds(case.lines), 2)
    xy = np.random.default_rng(9).uniform(low, high, (BULK, 2))
    error, share = checked(index, case, xy)
    answers = candidates(case, index)
    chunk = best_of(answers, np.ascontiguousarray(xy[:CHUNK]), rounds * 10)
    bulk = best_of(answers, xy, rounds)
    return {
        "layer": case.name,
        "segments": count,
        "max_distance_m": case.max_distance,
        "build_s": build_s,
        "bytes_per_segment": sum(array.nbytes for array in sections.values()) / count,
        "share_found": share,
        "largest_error_m": error,
        "chunk_us": {name: seconds * 1e6 for name, seconds in chunk.items()},
        "bulk_ns_per_point": {name: seconds / BULK * 1e9 for name, seconds in bulk.items()},
    }


def show(result: dict[str, Any]) -> None:
    """One case as Markdown."""
    print(
        f"\n### {result['layer']}: {result['segments']:,} segments, within "
        f"{result['max_distance_m']:,.0f} m\n\nIndex built in {result['build_s']:.2f} s, "
        f"{result['bytes_per_segment']:.0f} bytes a segment; {result['share_found']:.0%} of the "
        f"points have a nearest; largest error {result['largest_error_m']:.1e} m.\n\n"
        f"| candidate | chunk of {CHUNK}, µs | times | bulk, ns a point | times |\n"
        "|---|---|---|---|---|"
    )
    chunk, bulk = result["chunk_us"], result["bulk_ns_per_point"]
    for name in chunk:
        print(
            f"| {name} | {chunk[name]:,.0f} | {chunk[name] / chunk['geoweir']:.1f} "
            f"| {bulk[name]:,.0f} | {bulk[name] / bulk['geoweir']:.1f} |"
        )


def main() -> None:
    """Reads the arguments and measures all cases."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if not has_kernel():
        raise SystemExit("no kernel: build it first (service/geoweir/spatial/kernel/build.py)")
    print(
        f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}"
        f", Python {platform.python_version()}, numpy {np.__version__}, "
        f"shapely {shapely.__version__} (GEOS {shapely.geos_version_string}), "
        f"pyproj {pyproj.__version__}"
    )
    roads = read(ROADS)
    cases = [
        Case("roads of Helsinki", roads, 500),
        Case("railroads of North America", read(RAILS), 50_000),
        Case("roads, tiled", tiled(roads), 500),
    ]
    results = []
    for case in cases:
        results.append(measured(case, args.rounds))
        show(results[-1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\nPeak memory of the benchmark: {peak:,.0f} MB, most of it shapely's lines and trees.")
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
