"""Points in polygons side by side: geoweir, what it falls back to, shapely's forms, and peers.

    python bench/join.py --layers countries,counties,voronoi-50k,voronoi-500k

One run, all in one process, the candidates taking turns; the best of the rounds counts, as other
work on the machine only makes times longer. `chunk` is 128 points a call and the time of one call,
`bulk` 100,000 points at once. Every candidate gets the points in the form it likes best, made
outside the measured time: a chunk as the decoder leaves it for `geoweir step`, which is the step's
own way to its pairs; geometries for shapely's, a frame for geopandas' and the others'. Answers
(pairs within) are counted and must agree.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import importlib
import importlib.util
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import shapely

import layers
from geoweir.codec.column import GeometryColumn
from geoweir.codec.features import Features
from geoweir.spatial.file.mapped import MappedFile
from geoweir.spatial.layer import Layer
from geoweir.steps.join import pairs
from table import markdown

_CHUNK: Final = 128
_BULK: Final = 100_000
_MOST_S: Final = 0.3  # for a round of a slow candidate
_STEP: Final = "geoweir step"
_SHAPELYS: Final = (
    "STRtree.query(within)",
    "STRtree, prepared contains_xy",
    "the same, point by point",
)

Points = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something that joins points to a layer.

    Attributes:
        name: in the table.
        form: makes of points what ``run`` takes.
        run: counts the pairs.
    """

    name: str
    form: Callable[[Points], Any]
    run: Callable[[Any], int]


def _ours(path: Path) -> Iterator[Candidate]:
    layer = Layer.open("layer", MappedFile.open(path))
    yield Candidate(_STEP, _chunk, lambda given: _pairs(layer, given))
    yield Candidate(
        "geoweir locate", np.asarray, lambda given: len(layer.locate(given, "within", "all")[0])
    )
    yield Candidate(
        "geoweir join of objects",
        shapely.points,
        lambda given: len(layer.join(given, "within", "all")[0]),
    )
    plain = Layer.open("layer", MappedFile.open(path), use_kernel=False)
    yield Candidate(
        "geoweir without kernel",
        shapely.points,
        lambda given: len(plain.join(given, "within", "all")[0]),
    )


def _chunk(points: Points) -> Features:
    """Points as the decoder leaves them."""
    count = len(points)
    return Features(
        inputs=np.arange(count, dtype=np.int32),
        ids=[""] * count,
        id_literals=[b""] * count,
        times=[None] * count,
        column=GeometryColumn(positions=np.column_stack([points, np.full(count, np.nan)])),
        properties=[{}] * count,
        crs="EPSG:4326",
        errors=[None] * count,
        filtered=[None] * count,
        repaired=[None] * count,
    )


def _pairs(layer: Layer, chunk: Features) -> int:
    return len(pairs(layer, chunk, chunk.alive(), "within", "all")[0])


def _shapelys(geometries: layers.Geometries) -> Iterator[Candidate]:
    shapely.prepare(geometries)
    tree = shapely.STRtree(geometries)

    def candidates(given: layers.Geometries) -> int:
        mine, theirs = tree.query(given)
        xy = shapely.get_coordinates(given)[mine]
        return int(shapely.contains_xy(geometries[theirs], xy[:, 0], xy[:, 1]).sum())

    def singly(given: Points) -> int:
        count = 0
        for x, y in given.tolist():
            theirs = tree.query(shapely.Point(x, y))
            count += int(shapely.contains_xy(geometries[theirs], x, y).sum())
        return count

    yield Candidate(
        _SHAPELYS[0], shapely.points, lambda given: tree.query(given, "within").shape[1]
    )
    yield Candidate(_SHAPELYS[1], shapely.points, candidates)
    yield Candidate(_SHAPELYS[2], np.asarray, singly)


def _peers(geometries: layers.Geometries) -> Iterator[Candidate]:
    for name in ("geopandas", "polars_st", "sedonadb"):
        if importlib.util.find_spec(name) is None:
            print(f"{name} is not installed: left out", file=sys.stderr)
        else:
            yield {"geopandas": _geopandas, "polars_st": _polars, "sedonadb": _sedona}[name](
                geometries
            )


def _geopandas(geometries: layers.Geometries) -> Candidate:
    geopandas: Any = importlib.import_module("geopandas")
    theirs = geopandas.GeoDataFrame(geometry=geometries, crs=4326)
    theirs.sindex.query(shapely.Point(0, 0))
    return Candidate(
        "geopandas sjoin",
        lambda given: geopandas.GeoDataFrame(geometry=shapely.points(given), crs=4326),
        lambda given: len(geopandas.sjoin(given, theirs, predicate="within")),
    )


def _polars(geometries: layers.Geometries) -> Candidate:
    importlib.import_module("polars_st")  # which registers itself
    polars: Any = importlib.import_module("polars")
    theirs = polars.DataFrame({"geometry": shapely.to_wkb(geometries)})
    return Candidate(
        "polars-st sjoin",
        lambda given: polars.DataFrame({"geometry": shapely.to_wkb(shapely.points(given))}),
        lambda given: len(given.st.sjoin(theirs, predicate="within")),
    )


def _sedona(geometries: layers.Geometries) -> Candidate:
    geopandas: Any = importlib.import_module("geopandas")
    session: Any = importlib.import_module("sedonadb").connect()
    session.create_data_frame(
        geopandas.GeoDataFrame(geometry=geometries, crs=4326)
    ).to_memtable().to_view("theirs", overwrite=True)
    query = (
        "SELECT COUNT(*) AS n FROM mine JOIN theirs ON ST_Within(mine.geometry, theirs.geometry)"
    )

    def form(given: Points) -> Any:  # noqa: ANN401 - sedonadb's own
        frame = geopandas.GeoDataFrame(geometry=shapely.points(given), crs=4326)
        return session.create_data_frame(frame).to_memtable()

    def run(given: Any) -> int:  # noqa: ANN401 - sedonadb's own
        given.to_view("mine", overwrite=True)
        return int(session.sql(query).to_pandas()["n"][0])

    return Candidate("sedonadb", form, run)


def _timed(candidate: Candidate, parts: list[Any]) -> tuple[list[float], int]:
    """Seconds for each part and the pairs of all: for as many parts as there is time for."""
    pairs, seconds = 0, list[float]()
    for part in parts:
        started = time.perf_counter()
        pairs += candidate.run(part)
        seconds.append(time.perf_counter() - started)
        if sum(seconds) > _MOST_S:
            break
    return seconds, pairs


def _measure(candidates: list[Candidate], chunks: list[Points], rounds: int) -> dict[str, float]:
    """Seconds per chunk, each chunk's best of all rounds; none where an answer is another."""
    best: dict[str, list[float]] = {}
    forms = {one.name: [one.form(chunk) for chunk in chunks] for one in candidates}
    expected = [candidates[0].run(part) for part in forms[candidates[0].name]]
    for number in range(rounds + 1):  # the first one warms up
        for one in candidates:
            seconds, pairs = _timed(one, forms[one.name])
            if pairs != sum(expected[: len(seconds)]):
                raise SystemExit(f"{one.name} found {pairs} pairs, not as many as geoweir")
            if number:
                before = best.get(one.name, seconds)
                best[one.name] = [min(pair) for pair in zip(before, seconds, strict=False)]
    return {name: sum(seconds) / len(seconds) for name, seconds in best.items()}


def _places(name: str, geometries: layers.Geometries, count: int) -> Points:
    """Where a day of ships was, for the counties; elsewhere anywhere in the layer's bounds."""
    rng = np.random.default_rng(9)
    track = layers.SAMPLES / "tracks/ais_us_2022-01-03.csv.gz"
    if name == "counties" and track.exists():
        with gzip.open(track, "rt") as lines:
            fixes = [(float(row["LON"]), float(row["LAT"])) for row in csv.DictReader(lines)]
        return rng.permutation(np.array(fixes))[rng.integers(0, len(fixes), count)]
    west, south, east, north = shapely.total_bounds(geometries)
    return rng.uniform((west, south), (east, north), (count, 2))


def _compare(name: str, rounds: int, *, with_peers: bool) -> None:
    geometries = layers.polygons(name)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "layer.gwl"
        started = time.perf_counter()
        layers.compiled(geometries, path)
        seconds, size = time.perf_counter() - started, path.stat().st_size
        sections = MappedFile.open(path).header.sections
        index = sum(one.size for key, one in sections.items() if key.startswith("cell"))
        candidates = [*_ours(path), *_shapelys(geometries)]
        if with_peers:
            candidates += _peers(geometries)
        points = _places(name, geometries, _CHUNK * 60 + _BULK)
        chunks = np.split(points[: _CHUNK * 60], 60)
        small = _measure(candidates, chunks, rounds)
        large = _measure(candidates, [points[_CHUNK * 60 :]], rounds)
    print(
        f"\n{name}: {len(geometries):,} polygons, {shapely.get_num_coordinates(geometries).sum():,}"
        f" vertices; written in {seconds:.1f} s, {size / 1e6:.1f} MB, cells {index / 1e6:.1f} MB\n"
    )
    print(_table(small, large))


def _table(small: dict[str, float], large: dict[str, float]) -> str:
    ours = small[_STEP]
    rows = [
        [
            name,
            f"{seconds * 1e6:,.0f}",
            f"{seconds / ours:.1f}",
            f"{_BULK / large[name] / 1e6:.2f}",
        ]
        for name, seconds in small.items()
    ]
    shapelys = min(small[name] for name in _SHAPELYS)
    best = f"The best shapely form takes {shapelys / ours:.1f} times as long at {_CHUNK} points."
    head = ["candidate", f"µs for {_CHUNK} points", "times geoweir", "million points/s in bulk"]
    return f"{markdown(head, rows)}\n\n{best}"


def _machine() -> str:
    packages = ("numpy", "shapely", "geopandas", "polars-st", "sedonadb")
    found = []
    for name in packages:
        try:
            found.append(f"{name} {version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    cpu = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {cpu}, {os.cpu_count()} cores,"
        f" load {os.getloadavg()[0]:.1f}, Python {platform.python_version()},"
        f" GEOS {shapely.geos_version_string}, {', '.join(found)}"
    )


def main() -> int:
    """Runs from the command line."""
    form = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--layers", default="countries,counties,voronoi-50k,voronoi-500k")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--no-peers", action="store_true", help="shapely's forms only")
    options = parser.parse_args()
    print(_machine())
    for name in options.layers.split(","):
        _compare(name, options.rounds, with_peers=not options.no_peers)
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
