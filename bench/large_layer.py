"""A layer larger than memory: right answers at which rate, with MADV_RANDOM and without.

    python bench/large_layer.py --folder /var/tmp/large --memory 512

Makes a layer of Voronoi cells, tile beside tile, some 900 MB, unless the folder has one; and what
GEOS says of points in each tile. Then a process of its own answers them, under a memory limit of
its control group (as root; v1 and v2), the file's pages dropped from the cache before each run. A
round is 128 points a call, anywhere in the layer, which is the worst there is, or within a
hundredth of it, as a gateway's vehicles are. Every answer is compared with GEOS's.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import shapely

import layers
from geoweir.spatial.compiling.build import LayerBuilder
from geoweir.spatial.file.mapped import MappedFile
from geoweir.spatial.layer import Layer
from geoweir.spatial.ragged import Ragged
from table import markdown

_CELLS: Final = 250_000  # of a tile
_POINTS: Final = 60_000  # of a tile, with their answers
_CHUNK: Final = 128
_SIDE: Final = 10.0  # of a tile, in degrees
_NEAR: Final = 1.0  # side of the square that the points of `near` are in
_GROUPS: Final = Path("/sys/fs/cgroup")

_Points = npt.NDArray[np.float64]


def _made(folder: Path, tiles: int) -> None:
    """The layer, and points with the number of the cell that each is within."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "answers.npy").exists():
        return
    rng = np.random.default_rng(3)
    plain = layers.voronoi(_CELLS)
    points, answers, count = [], [], 0
    with closing(LayerBuilder(folder, 1_000_000_000)) as builder:
        for tile in range(tiles):
            corner = np.array([tile % 4 * _SIDE, tile // 4 * _SIDE])
            cells = shapely.transform(plain, partial(np.add, corner))
            cells = cells[shapely.is_valid(cells)]  # rounding may cross an edge or two
            ids = [str(number) for number in range(count, count + len(cells))]
            builder.add(ids, [{} for _ in ids], Ragged.from_shapely(cells))
            some = corner + rng.uniform(0.01, _SIDE - 0.01, (_POINTS, 2))
            some[: _POINTS // 2] = corner + rng.uniform(5, 5 + _NEAR, (_POINTS // 2, 2))
            mine, theirs = shapely.STRtree(cells).query(shapely.points(some), "within")
            points.append(some[mine])
            answers.append(theirs + count)
            count += len(cells)
        builder.write(folder / "layer.gwl", {"repaired": 0, "source": "tiles"}, "EPSG:4326")
    np.save(folder / "points.npy", np.vstack(points))
    np.save(folder / "answers.npy", np.concatenate(answers))


@contextlib.contextmanager
def _limited(megabytes: int) -> Iterator[Path]:
    """A control group with so much memory and no swap; its list of processes."""
    is_first = (_GROUPS / "memory").is_dir()
    group = (_GROUPS / "memory" if is_first else _GROUPS) / f"geoweir-bench-{os.getpid()}"
    group.mkdir()
    try:
        limit = group / ("memory.limit_in_bytes" if is_first else "memory.max")
        limit.write_text(str(megabytes << 20))
        if not is_first:
            (group / "memory.swap.max").write_text("0")
        yield group / "cgroup.procs"
    finally:
        group.rmdir()


def _measured(folder: Path, advice: str, where: str, seconds: float) -> dict[str, Any]:
    """In the limited process: answers until the time is up."""
    points, answers = np.load(folder / "points.npy"), np.load(folder / "answers.npy")
    if where == "near":
        is_near = ((points - [5, 5] >= 0) & (points - [5, 5] <= _NEAR)).all(axis=1)
        points, answers = points[is_near], answers[is_near]
    order = np.random.default_rng(1).permutation(len(points))
    points, answers = points[order], answers[order]
    started = time.perf_counter()
    file = MappedFile.open(folder / "layer.gwl")
    layer = Layer.open("layer", file, advice)  # type: ignore[arg-type]
    opened = time.perf_counter()
    wrong = done = at = 0
    slowest = spent = 0.0
    while spent < seconds:
        some = slice(at, at + _CHUNK)
        began = time.perf_counter()
        owners, features = layer.locate(points[some], "within", "all")
        took = time.perf_counter() - began
        size = len(points[some])
        right = len(owners) == size and (layer.source[features] == answers[some]).all()
        wrong, done, spent = wrong + (not right), done + size, spent + took
        slowest = max(slowest, took)
        at = 0 if some.stop >= len(points) else some.stop
    return {
        "open_ms": (opened - started) * 1e3,
        "rate": done / spent,
        "slowest_ms": slowest * 1e3,
        "faults": resource.getrusage(resource.RUSAGE_SELF).ru_majflt,
        "read_mb": _read_bytes() / 1e6,
        "wrong": wrong,
    }


def _read_bytes() -> int:
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("read_bytes"))


def _drop(path: Path) -> None:
    """Takes a file out of the cache."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def _run(options: argparse.Namespace, group: Path | None, advice: str, where: str) -> list[str]:
    _drop(options.folder / "layer.gwl")
    command = [sys.executable, __file__, "--folder", str(options.folder)]
    command += ["--seconds", str(options.seconds), "--answer", advice, where]

    def join() -> None:
        if group is not None:
            group.write_text(str(os.getpid()))

    run = subprocess.run(command, capture_output=True, check=True, preexec_fn=join)
    found = json.loads(run.stdout)
    if found["wrong"]:
        raise SystemExit(f"{found['wrong']} chunks with wrong answers")
    return [
        "none" if group is None else f"{options.memory} MB",
        advice,
        where,
        f"{found['rate']:,.0f}",
        f"{found['slowest_ms']:.0f}",
        f"{found['faults']:,}",
        f"{found['read_mb']:,.0f}",
        f"{found['open_ms']:.1f}",
    ]


def _compare(options: argparse.Namespace) -> None:
    _made(options.folder, options.tiles)
    size = (options.folder / "layer.gwl").stat().st_size
    print(f"{options.tiles * _CELLS:,} polygons, {size / 1e6:,.0f} MB\n")
    rows = []
    with _limited(options.memory) as group:
        for where in ("anywhere", "near"):
            rows += [_run(options, group, advice, where) for advice in ("normal", "random")]
    rows += [_run(options, None, "normal", where) for where in ("anywhere", "near")]
    head = ["memory", "advice", "points", "points/s", "slowest chunk, ms", "major faults"]
    print(markdown([*head, "read, MB", "open, ms"], rows))


def main() -> int:
    """Runs from the command line."""
    form = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "large-layer")
    parser.add_argument("--memory", type=int, default=512, help="MB of the control group")
    parser.add_argument("--tiles", type=int, default=12, help="of 250,000 polygons each")
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--answer", nargs=2, metavar=("ADVICE", "WHERE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.answer is None:
        _compare(options)
        return 0
    advice, where = options.answer
    print(json.dumps(_measured(options.folder, advice, where, options.seconds)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
