"""Points in polygons against GEOS, for as long as it is let: every difference is shown.

    python bench/exactness.py --minutes 20 --log exactness.jsonl

In every round each layer gets points at random, on its vertices, on its edges (computed, so mostly
an ulp beside), and those moved by one ulp to each side; within and intersects, all and first. The
other side is GEOS by shapely: prepared, on the candidates of an STRtree. A line of JSON per layer
and round; the exit code is 1 where there was a difference.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import layers
import numpy as np
import numpy.typing as npt
import orjson
import shapely
from errors import MissingError

from geoweir.spatial.layer import Layer

_Points = npt.NDArray[np.float64]
_UNDERFLOW: Final = 1e-290


@dataclass(slots=True)
class Candidate:
    """A layer, and what GEOS needs to answer for it."""

    name: str
    layer: Layer
    geometries: layers.Geometries
    edges: tuple[_Points, _Points]  # first and second vertices
    tree: shapely.STRtree

    @classmethod
    def of(cls, name: str, geometries: layers.Geometries) -> Candidate:
        """Compiles the layer, and prepares the other side."""
        layer = layers.opened(geometries)
        rings = shapely.get_rings(shapely.get_parts(geometries))
        vertices, ring = shapely.get_coordinates(rings, return_index=True)
        is_edge = ring[1:] == ring[:-1]
        shapely.prepare(geometries)
        edges = vertices[:-1][is_edge], vertices[1:][is_edge]
        return cls(name, layer, geometries, edges, shapely.STRtree(geometries))


def spots(one: Candidate, count: int, rng: np.random.Generator) -> _Points:
    """Points of all the kinds above, about ``count``."""
    starts, ends = one.edges
    low, high = starts.min(axis=0), starts.max(axis=0)
    margin = (high - low) / 50
    some = rng.integers(0, len(starts), count // 16)
    along = rng.uniform(0, 1, (len(some), 1)).round(rng.integers(1, 17))
    on_edges = starts[some] * (1 - along) + ends[some] * along
    level = np.column_stack([on_edges[:, 0], starts[some][:, 1]])  # as high as a vertex
    exact = np.vstack([starts[some], on_edges, level])
    moved = [
        np.nextafter(exact, exact + side) for side in ([1, 0], [-1, 0], [0, 1], [0, -1], [1, -1])
    ]
    at_random = rng.uniform(low - margin, high + margin, (count // 4, 2))
    points = np.vstack([at_random, exact, *moved])
    # An ulp beside zero GEOS's arithmetic underflows: it takes (5e-324, 5.7) to be on an edge from
    # (0, 5.5) to (0, 5.71). Exact fractions are the judge there, in the unit tests.
    return points[((points == 0) | (np.abs(points) > _UNDERFLOW)).all(axis=1)]


def differences(one: Candidate, points: _Points) -> list[dict[str, Any]]:
    """Where the layer and GEOS don't agree."""
    mine, theirs = one.tree.query(shapely.points(points))
    found: list[dict[str, Any]] = []
    for predicate in ("within", "intersects"):
        test = shapely.contains_xy if predicate == "within" else shapely.intersects_xy
        holds = test(one.geometries[theirs], points[mine, 0], points[mine, 1])
        expected = np.column_stack([mine[holds], theirs[holds]])
        expected = expected[np.lexsort(expected.T[::-1])]
        firsts = expected[np.unique(expected[:, 0], return_index=True)[1]]
        for match, wanted in (("all", expected), ("first", firsts)):
            owners, features = one.layer.locate(points, predicate, match)  # type: ignore[arg-type]
            got = np.column_stack([owners, one.layer.source[features]])
            if not np.array_equal(got, wanted):
                found.append(_described(predicate, match, points, got, wanted))
    return found


def _described(
    predicate: str,
    match: str,
    points: _Points,
    got: npt.NDArray[np.int64],
    wanted: npt.NDArray[np.int64],
) -> dict[str, Any]:
    more = {tuple(pair) for pair in got.tolist()}
    other = {tuple(pair) for pair in wanted.tolist()}
    unlike = sorted(more ^ other)
    point, feature = unlike[0] if unlike else (-1, -1)
    return {
        "predicate": predicate,
        "match": match,
        "differences": max(len(unlike), 1),
        "first": [[value.hex() for value in points[point].tolist()], feature],
    }


def _round(one: Candidate, count: int, seed: int) -> dict[str, Any]:
    started = time.perf_counter()
    points = spots(one, count, np.random.default_rng(seed))
    return {
        "layer": one.name,
        "features": len(one.geometries),
        "seed": seed,
        "points": len(points),
        "differences": differences(one, points),
        "seconds": round(time.perf_counter() - started, 2),
    }


def _candidates(names: list[str]) -> list[Candidate]:
    made = []
    for name in names:
        try:
            made.append(Candidate.of(name, layers.polygons(name)))
        except MissingError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
    return made


def _run(options: argparse.Namespace, log: IO[bytes]) -> bool:
    candidates = _candidates(options.layers.split(","))
    until, seed = time.monotonic() + 60 * options.minutes, options.seed
    points, wrong = dict.fromkeys((one.name for one in candidates), 0), 0
    while time.monotonic() < until or seed == options.seed:
        for one in candidates:
            line = _round(one, options.points, seed)
            log.write(orjson.dumps(line) + b"\n")
            log.flush()
            points[one.name] += line["points"]
            wrong += len(line["differences"])
        seed += 1
    for name, count in points.items():
        print(f"{name}: {count:,} points")
    print(f"{sum(points.values()):,} points in {seed - options.seed} rounds, {wrong} differences")
    return wrong > 0


def main() -> int:
    """Runs from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--points", type=int, default=100_000, help="per layer and round")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--layers", default=",".join([*layers.REAL, *layers.GENERATED]))
    parser.add_argument("--log", type=Path, default=Path("exactness.jsonl"))
    options = parser.parse_args()
    with options.log.open("wb") as log:
        return int(_run(options, log))


if __name__ == "__main__":
    sys.exit(main())
