"""Crop, voxel thinning and lowest points beside plain numpy and shapely, on a real cloud.

Everything is run by turns in one process, the best of several rounds counts, and no figure is
printed unless the answers are equal.

    python bench/cloud.py [--rounds N] [FILE]

FILE is a LAS or LAZ file; without one, those of the samples. Only laspy reads LAZ: without it the
one raw LAS file of the samples is measured, tiled to the size of a real cloud.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import shapely

from geoweir.spatial.cloud.crop import in_polygons
from geoweir.spatial.cloud.grid import gridded
from geoweir.spatial.cloud.ground import lowest
from geoweir.spatial.cloud.points import Points
from geoweir.spatial.cloud.voxels import thinned
from geoweir.spatial.kernel.loaded import has_kernel

SAMPLES: Final = Path(
    os.environ.get("GEOWEIR_SAMPLES", Path(__file__).resolve().parents[2] / "shared" / "samples")
)
CLOUDS: Final = ("autzen_trim.laz", "plane.laz", "simple.las")
VOXELS: Final = 500  # along the longer side of the cloud
CELLS: Final = 50

_Answer = npt.NDArray[Any]
_Polygons = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Case:
    """One question, our answer, and the plain one."""

    name: str
    ours: Callable[[], _Answer]
    plain: dict[str, Callable[[], _Answer]]


def read_raw(path: Path) -> Points:
    """The points of an uncompressed LAS file, by the public header of LAS 1.2."""
    data = path.read_bytes()
    start = int(np.frombuffer(data, "<u4", 1, 96)[0])
    length = int(np.frombuffer(data, "<u2", 1, 105)[0])
    count = int(np.frombuffer(data, "<u4", 1, 107)[0])
    scale, offset = np.frombuffer(data, "<f8", 6, 131).reshape(2, 3)
    rows = np.frombuffer(data, np.uint8, count * length, start).reshape(count, length)
    whole = np.ascontiguousarray(rows[:, :12]).view("<i4")
    points: Points = whole * scale + offset
    return points


def tiled(points: Points, count: int) -> Points:
    """Copies beside each other until there are enough."""
    width = np.ptp(points[:, 0])
    copies = -(-count // len(points))
    moved = [points + np.array([number * width, 0, 0]) for number in range(copies)]
    return np.ascontiguousarray(np.concatenate(moved)[:count])


def read(path: Path) -> Points | None:
    """A cloud, or None where it takes laspy and that isn't here."""
    if path.suffix == ".las":
        return tiled(read_raw(path), 110_000)
    try:
        import laspy  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415
    except ImportError:
        return None
    return np.ascontiguousarray(laspy.read(path).xyz, dtype=np.float64)


def polygons_over(points: Points) -> dict[str, _Polygons]:
    """A star of 24 corners, and 60 overlapping circles of 64: about half of the cloud each."""
    low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    centre, half = (low + high) / 2, (high - low) / 2
    turns = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    radii = np.where(np.arange(24) % 2, 0.95, 0.55)[:, None]
    star = shapely.Polygon(centre + radii * half * np.column_stack([np.cos(turns), np.sin(turns)]))
    places = np.random.default_rng(1).uniform(low, high, (60, 2))
    circles = shapely.buffer(shapely.points(places), half.min() / 6, quad_segs=16)
    return {"star": np.array([star], dtype=object), "circles": circles}


def prepared(points: Points, polygons: _Polygons) -> _Answer:
    """What shapely's documentation suggests: prepared polygons, coordinates as columns."""
    inside = np.zeros(len(points), dtype=np.bool_)
    for polygon in polygons:
        inside |= shapely.intersects_xy(polygon, points[:, 0], points[:, 1])
    return inside


def contained(points: Points, polygons: _Polygons) -> _Answer:
    """The same with ``contains_xy``, which leaves points on an edge out."""
    inside = np.zeros(len(points), dtype=np.bool_)
    for polygon in polygons:
        inside |= shapely.contains_xy(polygon, points[:, 0], points[:, 1])
    return inside


def by_lexsort(points: Points, size: float) -> _Answer:
    """Thinning as one writes it: sort by voxel and distance, take the firsts."""
    cells = np.floor(points / size)
    distance = ((points - (cells + 0.5) * size) ** 2).sum(axis=1)
    order = np.lexsort((*points.T[::-1], distance, *cells.T[::-1]))
    _, firsts = np.unique(cells[order], axis=0, return_index=True)
    return np.sort(order[firsts])


def by_pure_lexsort(points: Points, size: float) -> _Answer:
    """The same without ``np.unique``, which sorts again."""
    cells = np.floor(points / size)
    distance = ((points - (cells + 0.5) * size) ** 2).sum(axis=1)
    order = np.lexsort((*points.T[::-1], distance, *cells.T[::-1]))
    is_first = np.ones(len(points), dtype=np.bool_)
    is_first[1:] = (cells[order[1:]] != cells[order[:-1]]).any(axis=1)
    return np.sort(order[is_first])


def by_unique(points: Points, size: float) -> _Answer:
    """Lowest points as one writes them."""
    cells = np.floor(points[:, :2] / size)
    _, number = np.unique(cells, axis=0, return_inverse=True)
    least = np.full(number.max() + 1, np.inf)
    np.minimum.at(least, number, points[:, 2])
    return np.asarray(least[number])


def by_stacking(points: Points, size: float) -> _Answer:
    """A surface as one writes it, for the cells that hold points."""
    cells = np.floor(points[:, :2] / size).astype(np.int64)
    found, number = np.unique(cells, axis=0, return_inverse=True)
    most = np.full(len(found), -np.inf)
    np.maximum.at(most, number, points[:, 2])
    return np.asarray(most[np.lexsort((found[:, 0], -found[:, 1]))])


def surface(points: Points, size: float) -> _Answer:
    values = gridded(points, size, "max", 1_000_000)["values"]
    return np.array([value for value in values if value is not None])


def cropping(points: Points, name: str, polygons: _Polygons) -> Case:
    shapely.prepare(polygons)
    return Case(
        f"crop {name}",
        lambda: in_polygons(points, polygons),
        {
            "intersects_xy": lambda: prepared(points, polygons),
            "contains_xy": lambda: contained(points, polygons),
        },
    )


def thinning(points: Points, name: str, size: float) -> Case:
    return Case(
        f"voxel {name}",
        lambda: thinned(points, size),
        {
            "lexsort + unique": lambda: by_lexsort(points, size),
            "lexsort": lambda: by_pure_lexsort(points, size),
        },
    )


def cases(points: Points) -> list[Case]:
    """Every question about one cloud."""
    extent = float(np.ptp(points[:, :2], axis=0).max())
    fine, coarse = extent / VOXELS, extent / CELLS
    unique: dict[str, Callable[[], _Answer]] = {"unique": lambda: by_unique(points, coarse)}
    stacking: dict[str, Callable[[], _Answer]] = {"unique": lambda: by_stacking(points, coarse)}
    return [
        *(cropping(points, name, some) for name, some in polygons_over(points).items()),
        thinning(points, "fine", fine),
        thinning(points, "coarse", coarse),
        Case("lowest", lambda: lowest(points, coarse), unique),
        Case("grid", lambda: surface(points, coarse), stacking),
    ]


def milliseconds(run: Callable[[], _Answer]) -> float:
    started = time.perf_counter()
    run()
    return (time.perf_counter() - started) * 1e3


def report(case: Case, rounds: int) -> None:
    """Compares the answers, then the best of the rounds, taken by turns."""
    answer = case.ours()
    for name, plain in case.plain.items():
        if not np.array_equal(answer, plain()):
            raise SystemExit(f"{case.name}: {name} has another answer")
    ours, others = np.inf, dict.fromkeys(case.plain, np.inf)
    for _ in range(rounds):
        ours = min(ours, milliseconds(case.ours))
        for name, plain in case.plain.items():
            others[name] = min(others[name], milliseconds(plain))
    for name, taken in others.items():
        print(f"{case.name:14} {ours:8.2f} ms  {name:18} {taken:8.2f} ms  {taken / ours:5.1f} x")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("file", nargs="*", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    print(
        f"{platform.machine()}, Python {platform.python_version()}, numpy {np.__version__},"
        f" shapely {shapely.__version__} (GEOS {shapely.geos_version_string}),"
        f" kernel {'on' if has_kernel() else 'off'}, best of {given.rounds}"
    )
    lidar = SAMPLES / "lidar"
    for path in given.file or [
        lidar / "autzen_trim.laz",
        lidar / "plane.laz",
        lidar / "simple.las",
    ]:
        points = read(path) if path.exists() else None
        if points is None:
            print(f"\n{path.name}: left out, it isn't here or laspy isn't")
            continue
        print(f"\n{path.name}: {len(points):,} points")
        for case in cases(points):
            report(case, given.rounds)


if __name__ == "__main__":
    main()
