"""What the worker's sandbox costs: a chunk with it and without, in turn, in one run.

    python bench/sandbox.py [--rounds 9] [--chunks 300]

Two pools of one worker each run the same chunk of 128 positions through reproject and join, one
after the other, round by round; once with small chunks of 8, where a system call weighs more.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import types
from statistics import median
from typing import Final
from unittest import mock

import numpy as np

import layers
from faults.poolside import Restarts, Shelved, file_of
from geoweir.core.spec import PoolSpec, StepSpec, StreamSpec, WorkerSpec
from geoweir.core.work import ChunkWork
from geoweir.pool.shelf import Shelf
from geoweir.pool.supervisor import Pool
from geoweir.spatial.layerfile import LayerFeatures, write_layer
from machine import describe
from reports import main_of, positive
from table import markdown

_SIZES: Final = (8, 128)
_STEPS: Final = (
    StepSpec(name="join", options={"layer": "zones"}),
    StepSpec(name="reproject", options={"to": "EPSG:3857"}),
)


def chunk(size: int) -> ChunkWork:
    """Positions on the layer."""
    points = np.random.default_rng(1).uniform(0.1, 9.9, (size, 2)).tolist()
    payloads = [
        json.dumps(
            {"type": "Feature", "id": str(n), "geometry": {"type": "Point", "coordinates": xy}}
            | {"properties": {"speed": 4.2}}
        ).encode()
        for n, xy in enumerate(points)
    ]
    return ChunkWork(0, payloads, ["fleet/1"] * size, [1.8e9] * size)


async def made(*, is_sandboxed: bool) -> tuple[Pool, Restarts]:
    """A pool of one worker."""
    cells = layers.voronoi(5000)
    file = file_of("zones", "?")
    features = LayerFeatures([str(n) for n in range(len(cells))], [{} for _ in cells], cells)
    write_layer(file.descriptor, "EPSG:4326", features, "zones")
    stream = StreamSpec(name="fleet", subscribe=("fleet/#",), steps=_STEPS)
    shelf = Shelf(Shelved())
    shelf.put(file)
    told = Restarts()
    pool = Pool(
        PoolSpec(workers=1, is_sandboxed=is_sandboxed),
        WorkerSpec(streams=(stream,)),
        events=told,
        shelf=shelf,
    )
    with mock.patch.dict(sys.modules, {"__main__": types.ModuleType("__main__")}):
        await pool.start()
    return pool, told


async def timed(pool: Pool, work: ChunkWork, chunks: int) -> float:
    """Seconds in the worker for so many chunks, one after the other."""
    spent = 0.0
    for _ in range(chunks):
        ran = await (await pool.idle()).run(work, deadline_s=20)
        if ran.done is None:
            raise RuntimeError(ran.detail)
        spent += ran.run_s
    return spent


async def measured(rounds: int, chunks: int) -> list[list[str]]:
    """A row for each size of chunk."""
    bare, _ = await made(is_sandboxed=False)
    boxed, told = await made(is_sandboxed=True)
    rows = []
    for size in _SIZES:
        work = chunk(size)
        times: dict[Pool, list[float]] = {bare: [], boxed: []}
        for pool in times:
            await timed(pool, work, 50)
        for number in range(rounds):
            for pool in (bare, boxed) if number % 2 else (boxed, bare):
                times[pool].append(await timed(pool, work, chunks) / chunks * 1e6)
        ratios = [b / a for a, b in zip(times[bare], times[boxed], strict=True)]
        rows.append([
            str(size), f"{min(times[bare]):.0f}", f"{min(times[boxed]):.0f}",
            f"{min(times[boxed]) / min(times[bare]):.3f}",
            f"{median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})", told.sandbox,
        ])  # fmt: skip
    for pool in (bare, boxed):
        await pool.close(1)
    return rows


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=positive(int), default=9)
    parser.add_argument("--chunks", type=positive(int), default=300)
    args = parser.parse_args()
    rows = asyncio.run(measured(args.rounds, args.chunks))
    head = ["chunk", "µs without", "µs with", "ratio of the best", "ratio, median of rounds", "how"]
    print(json.dumps(describe()))
    print(markdown(head, rows))
    return 0


if __name__ == "__main__":
    sys.exit(main_of("sandbox.py", main))
