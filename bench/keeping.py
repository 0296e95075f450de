"""What keeping dropped inputs costs: the store alone, by how many are handed over together.

Run as ``python bench/keeping.py [--folder FOLDER]``; the folder should lie on the gateway's card.
Every row is the best of five runs; file and memory take turns within each.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Final

from geoweir.core.kept import Drop, Selection
from geoweir.core.outcome import Outcome
from geoweir.store.kept import Bounds
from geoweir.store.sqlite import SqliteStore
from machine import describe

_INPUTS: Final = 4096
_RUNS: Final = 5
_TOGETHER: Final = (1, 16, 128)
_BOUNDS: Final = Bounds(messages=100_000, size=100_000_000, age_s=1e9)


class _Silent:
    """Nobody is told anything."""

    def store_failed(self, why: str, detail: str) -> None:
        raise RuntimeError(f"{why}: {detail}")

    def store_works(self) -> None: ...

    def store_damaged(self, why: str, aside: str) -> None:
        raise RuntimeError(f"{why}: {aside}")

    def not_kept(self, why: str, n: int) -> None:
        raise RuntimeError(f"{n} not kept: {why}")

    def removed(self, counts: object) -> None: ...


def _drops(first: int, count: int) -> list[Drop]:
    now = time.time()
    return [
        Drop(
            stream="buses",
            topic=f"bus/{n}/position",
            payload=b"%020d" % n * 12,
            headers=(),
            received=now,
            dropped=now,
            outcome=Outcome.REJECTED,
            reason="json",
            detail="The payload is not JSON.",
        )
        for n in range(first, first + count)
    ]


async def _run(path: Path | None, together: int) -> tuple[float, float]:
    """Inputs a second, one hand-over after the other, and the loop's share of the time."""
    async with SqliteStore(path, _BOUNDS, events=_Silent(), wall=time.time) as store:
        batches = [_drops(first, together) for first in range(0, _INPUTS, together)]
        started, busy = time.perf_counter(), time.thread_time()
        for batch in batches:
            await store.keep(batch)
        passed, used = time.perf_counter() - started, time.thread_time() - busy
        if len(await store.find(Selection(), most=_INPUTS + 1)) != _INPUTS:
            raise RuntimeError("not everything was kept")
    return _INPUTS / passed, used / _INPUTS


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description="What keeping dropped inputs costs.")
    parser.add_argument("--folder", help="where the file is made (the system's temporary folder)")
    args = parser.parse_args()
    print(json.dumps(describe()))
    print(f"SQLite {sqlite3.sqlite_version}, {_INPUTS} inputs of 240 bytes")
    print("| together | file: inputs/s | memory: inputs/s | ratio | loop: µs an input |")
    print("| --- | --- | --- | --- | --- |")
    for together in _TOGETHER:
        best = {"file": 0.0, "memory": 0.0}
        loop_s = 1.0
        for _ in range(_RUNS):
            with tempfile.TemporaryDirectory(dir=args.folder) as folder:
                path = Path(folder) / "state.db"
                for name, place in (("file", path), ("memory", None)):
                    rate, share = asyncio.run(_run(place, together))
                    best[name] = max(best[name], rate)
                    loop_s = min(loop_s, share)
        file, memory = best["file"], best["memory"]
        print(
            f"| {together} | {file:,.0f} | {memory:,.0f} | {file / memory:.2f} "
            f"| {loop_s * 1e6:.1f} |"
        )


if __name__ == "__main__":
    main()
