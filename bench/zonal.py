"""Zonal statistics side by side: geoweir, rasterstats, rasterio.features and rasterio.mask.

    python bench/zonal.py RASTER OUTLINES [--rounds 5]

Outlines (GeoJSON) are moved over the raster and made as wide as a share of it; beside them there
are generated polygons. Every candidate gives count, min, max, mean and sum of the same polygons,
round by round in turns; the best round counts, and every count is compared. The others get the
raster as an array in memory where they take one.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import shapely

from geoweir.core.spec import RasterSpec
from geoweir.spatial.kernel.loaded import has_kernel
from geoweir.spatial.raster.compiling import compile_raster
from geoweir.spatial.raster.opening import load_raster
from geoweir.spatial.raster.raster import Raster
from geoweir.spatial.raster.request import Request
from geoweir.spatial.raster.scannumpy import NumpyScan
from geoweir.spatial.raster.tally import Stats
from geoweir.spatial.raster.zones import Zones

_CHUNK: Final = 128
_Shapes = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Others:
    """The raster as the others get it."""

    path: Path
    dataset: Any
    numbers: npt.NDArray[Any]
    nodata: float | None


def geoweir(raster: Raster, shapes: _Shapes, *, majority: bool = False) -> list[int]:
    """In chunks, as a worker does it."""
    counts = []
    for start in range(0, len(shapes), _CHUNK):
        found = raster.zonal(shapes[start : start + _CHUNK], Request(majority=majority))
        counts += [one.count for one in found if isinstance(one, Stats)]
    return counts


def fallback(raster: Raster, shapes: _Shapes) -> list[int]:
    """The same without the kernel."""
    zones = Zones.of(shapes, raster.pixels.grid)
    scan = NumpyScan(raster.pixels, zones, Request())
    windows = [zones.window(index) for index in range(len(shapes))]
    return [
        0 if window is None else scan.stats(index, window).count
        for index, window in enumerate(windows)
    ]


def rasterstats(others: Others, shapes: _Shapes, *, majority: bool = False) -> list[int]:
    """What rasterstats counts on the array."""
    from rasterstats import zonal_stats  # noqa: PLC0415 - not everybody has it

    stats = ["count", "min", "max", "mean", "sum", *(["majority"] if majority else [])]
    nodata = others.nodata if others.nodata is not None else -999
    affine = others.dataset.transform
    found = zonal_stats(shapes, others.numbers, affine=affine, nodata=nodata, stats=stats)
    return [one["count"] for one in found]


def features(others: Others, shapes: _Shapes) -> list[int]:
    """rasterio.features on the window of each polygon, and numpy."""
    from rasterio.features import geometry_mask, geometry_window  # noqa: PLC0415
    from rasterio.windows import transform  # noqa: PLC0415

    counts = []
    for shape in shapes:
        window = geometry_window(others.dataset, [shape])
        rows, columns = window.toslices()
        numbers = others.numbers[rows, columns]
        place = transform(window, others.dataset.transform)
        inside = geometry_mask([shape], numbers.shape, place, invert=True)
        counts.append(_summary(numbers[inside], others.nodata))
    return counts


def masked(others: Others, shapes: _Shapes) -> list[int]:
    """rasterio.mask on the open file."""
    from rasterio.mask import raster_geometry_mask  # noqa: PLC0415

    counts = []
    for shape in shapes:
        outside, _, window = raster_geometry_mask(others.dataset, [shape], crop=True)
        numbers = others.dataset.read(1, window=window)
        counts.append(_summary(numbers[~outside], others.nodata))
    return counts


def _summary(numbers: npt.NDArray[Any], nodata: float | None) -> int:
    values = numbers if nodata is None else numbers[numbers != nodata]
    if values.size:
        values.min(), values.max(), values.mean(), values.sum(dtype=np.int64)
    return int(values.size)


def measure(
    candidates: dict[str, Callable[[], list[int]]], rounds: int
) -> dict[str, tuple[float, list[int]]]:
    """The best seconds of each, and its counts; they take turns."""
    best: dict[str, tuple[float, list[int]]] = {}
    for _ in range(rounds):
        for name, run in candidates.items():
            started = time.perf_counter()
            counts = run()
            seconds = time.perf_counter() - started
            if name not in best or seconds < best[name][0]:
                best[name] = (seconds, counts)
    return best


def outlines(path: Path, raster: Raster, share: float) -> _Shapes:
    """Real polygons, each as wide as a share of the raster, about its middle."""
    given = shapely.get_parts(shapely.from_geojson(path.read_text(encoding="utf-8")))
    given = given[shapely.is_valid(given) & ~shapely.is_empty(given)]
    low, high = _extent(raster)
    shapes = np.empty(len(given), dtype=object)
    for index, one in enumerate(given):
        box = np.array(shapely.bounds(one))
        scale = share * (high - low).min() / (box[2:] - box[:2]).max()
        start = (box[:2] + box[2:]) / 2
        xy = shapely.get_coordinates(one)
        shapes[index] = shapely.set_coordinates(one, (xy - start) * scale + (low + high) / 2)
    return shapes


def generated(raster: Raster, count: int, vertices: int, share: float) -> _Shapes:
    """Stars somewhere on the raster."""
    rng = np.random.default_rng(7)
    low, high = _extent(raster)
    angles = np.sort(rng.uniform(0, 2 * np.pi, (count, vertices)))
    reach = rng.uniform(0.3, 1, (count, vertices, 1)) * share * (high - low).min() / 2
    ways = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    centres = rng.uniform(low + 0.2 * (high - low), high - 0.2 * (high - low), (count, 1, 2))
    return np.array(shapely.polygons(centres + ways * reach), dtype=object)


def _extent(raster: Raster) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    grid = raster.pixels.grid
    a, _, c, _, e, f = grid.transform
    corners = np.array([[c, f], [c + a * grid.width, f + e * grid.height]])
    return corners.min(axis=0), corners.max(axis=0)


def _rows(args: argparse.Namespace, folder: Path) -> Iterator[str]:
    import rasterio  # noqa: PLC0415

    compile_raster(args.raster, folder / "r.gwr", args.crs)
    mapped = load_raster(RasterSpec(name="r", path=str(folder / "r.gwr")))
    parts = load_raster(RasterSpec(name="r", path=str(args.raster), crs=args.crs, in_parts=True))
    with rasterio.open(args.raster) as dataset:
        others = Others(args.raster, dataset, dataset.read(1), dataset.nodata)
        for title, shapes in _cases(args.outlines, mapped):
            yield from _case(title, shapes, (mapped, parts, others), args.rounds)


def _cases(path: Path, raster: Raster) -> Iterator[tuple[str, _Shapes]]:
    for share in (0.05, 0.3, 0.8):
        yield f"outlines, {share:.0%} of the raster", outlines(path, raster, share)
    for vertices in (8, 200):
        shapes = generated(raster, 256, vertices, 0.2)
        yield f"stars of {vertices} vertices, 20% of the raster", shapes


def _case(
    title: str, shapes: _Shapes, rasters: tuple[Raster, Raster, Others], rounds: int
) -> Iterator[str]:
    mapped, parts, others = rasters
    plain = measure(
        {
            "geoweir, compiled": lambda: geoweir(mapped, shapes),
            "geoweir, GeoTIFF in parts": lambda: geoweir(parts, shapes),
            "geoweir without the kernel": lambda: fallback(mapped, shapes),
            "rasterstats": lambda: rasterstats(others, shapes),
            "rasterio.features": lambda: features(others, shapes),
            "rasterio.mask": lambda: masked(others, shapes),
        },
        rounds,
    )
    voted = measure(
        {
            "geoweir, compiled, majority": lambda: geoweir(mapped, shapes, majority=True),
            "rasterstats, majority": lambda: rasterstats(others, shapes, majority=True),
        },
        rounds,
    )
    base, counts = plain["geoweir, compiled"]
    yield (
        f"\n{title}: {len(shapes)} polygons, {np.mean(counts):,.0f} pixels and "
        f"{shapely.get_num_coordinates(shapes).mean():,.0f} vertices each\n"
    )
    yield "| | µs a polygon | times geoweir's | other counts |"
    yield "| --- | ---: | ---: | ---: |"
    for name, (seconds, found) in (plain | voted).items():
        ours = voted["geoweir, compiled, majority"][0] if name in voted else base
        differing = sum(a != b for a, b in zip(counts, found, strict=True))
        micros = seconds / len(shapes) * 1e6
        yield f"| {name} | {micros:,.1f} | {seconds / ours:.1f} | {differing} |"


def main(argv: Sequence[str] | None = None) -> int:
    """Prints a table for each set of polygons."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("raster", type=Path, help="a GeoTIFF")
    parser.add_argument("outlines", type=Path, help="polygons as GeoJSON")
    parser.add_argument("--crs", help="the raster's, where the file doesn't say")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="(5)")
    args = parser.parse_args(argv)
    if not has_kernel():
        print("zonal: there is no C kernel: build it first", file=sys.stderr)
        return 1
    names = ("numpy", "shapely", "rasterio", "rasterstats")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    print(f"{args.raster.name} on {platform.machine()}, Python {platform.python_version()}", end="")
    print(f", {versions}")
    warnings.simplefilter("ignore")  # the others' deprecations
    with tempfile.TemporaryDirectory() as folder:
        for line in _rows(args, Path(folder)):
            print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
