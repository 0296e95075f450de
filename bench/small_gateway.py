"""The image on a small gateway: two large layers, full load, and how much memory there is.

    python bench/small_gateway.py --folder /var/tmp/gateway --minutes 15 [--poison] [--memory 512m]

Needs a container engine, the images that the container tests need (GEOWEIR_IMAGE,
GEOWEIR_MOSQUITTO_IMAGE) and, to drop the page cache, root. The folder gets a layer of 500,000
polygons and one of some 900 MB, unless it has them. Runs the service read-only, without
capabilities and swap, with two workers that join every position with both layers; half of the
positions are anywhere, which is the worst there is, half in a hundredth of each tile. With
``--poison`` one input in a thousand kills its worker. Prints what the service, its workers and the
kernel said, and beside it a run of the same with 4 GB.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

import large_layer
import layers
from geoweir.spatial.compiling.build import LayerBuilder
from geoweir.spatial.ragged import Ragged
from machine import describe
from reports import main_of, positive
from support.boxes import Box, boxes
from support.outside import Sender
from table import markdown

_SMALL: Final = 500_000
_TILES: Final = 12  # of the large layer: some 950 MB
_AHEAD: Final = 4_000  # inputs that the broker has not acknowledged to us
_LOOK_S: Final = 5.0
_POISON: Final = """\
import os, signal

def obey(chunk):
    for properties in chunk.properties:
        if properties.get("do") == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
"""


@dataclass
class Seen:
    """What was seen of one run."""

    anonymous: list[int] = field(default_factory=list)  # bytes, all processes
    parts: dict[str, int] = field(default_factory=dict)  # the most of each kind of process
    settled: int = 0
    seconds: float = 0.0
    restarts: int = 0
    is_killed: bool = False
    account: dict[str, Any] = field(default_factory=dict)
    faults: int = 0
    worker_restarts: dict[str, float] = field(default_factory=dict)


def prepare(folder: Path) -> None:
    """Both layers, in processes of their own: their memory is none of ours."""
    folder.mkdir(parents=True, exist_ok=True)
    for what in ("small", "large"):
        subprocess.run(
            [sys.executable, __file__, "--make", what, "--folder", str(folder)], check=True
        )


def make(folder: Path, what: str) -> None:
    """One layer, unless it is there."""
    if what == "large":
        large_layer._made(folder / "large", _TILES)  # noqa: SLF001 - the same layer
        return
    if (folder / "small.gwl").exists():
        return
    with closing(LayerBuilder(folder, 1_000_000_000)) as builder:
        cells = layers.voronoi(_SMALL)
        builder.add(
            [str(n) for n in range(len(cells))], [{} for _ in cells], Ragged.from_shapely(cells)
        )
        builder.write(folder / "small.gwl", {"repaired": 0, "source": "voronoi"}, "EPSG:4326")


def inputs(folder: Path, *, poison: bool) -> Iterator[tuple[str, bytes]]:
    """Positions for ever."""
    points = np.load(folder / "large/points.npy")
    dice = random.Random(1)
    number = 0
    while True:
        for x, y in points[np.random.default_rng(number).permutation(len(points))].tolist():
            number += 1
            properties = {"do": "kill"} if poison and dice.random() < 0.001 else {}
            feature = {
                "type": "Feature",
                "id": f"d{number % 500}",
                "geometry": {"type": "Point", "coordinates": [x, y]},
                "properties": properties,
            }
            yield f"in/{number % 500}", json.dumps(feature).encode()


def run(folder: Path, image: str, memory: str, minutes: float, *, poison: bool) -> Seen:
    """One run, looked at from outside."""
    config = {
        "layers": {
            "small": {"path": "/layers/small.gwl"},
            "large": {"path": "/layers/large/layer.gwl"},
        },
        "streams": {
            "s": {
                "subscribe": "in/#",
                "steps": [
                    {"join": {"layer": "small", "attach": []}},
                    {"join": {"layer": "large", "attach": []}},
                    {"python": "poison:obey"},
                ],
            }
        },
        "pool": {"workers": 2},
    }
    files = {"/etc/geoweir/poison.py": _POISON}
    Path("/proc/sys/vm/drop_caches").write_text("3")
    with (
        tempfile.TemporaryDirectory() as scratch,
        boxes(
            importlib.import_module("docker").from_env(timeout=600), image, Path(scratch), config,
            files=files, folders={"/layers": folder}, memory=memory, saves=False, seconds=120,
        ) as box,
    ):  # fmt: skip
        return _watch(box, inputs(folder, poison=poison), minutes * 60)


def _watch(box: Box, load: Iterator[tuple[str, bytes]], seconds: float) -> Seen:
    seen = Seen()
    with Sender(box.broker) as sender:
        began = looked = time.monotonic()
        before = box.settled()
        while (now := time.monotonic()) - began < seconds:
            while sender.sent - sender.taken < _AHEAD:
                sender.post([next(load)])
            time.sleep(0.002)
            if now - looked > _LOOK_S:
                looked = now
                _look(box, seen)
        seen.settled, seen.seconds = box.settled() - before, time.monotonic() - began
    seen.account = box.get("/api/account")
    seen.restarts = box.restarts()
    seen.is_killed = bool(box.geoweir.attrs["State"]["OOMKilled"]) or seen.restarts > 0
    return seen


def _look(box: Box, seen: Seen) -> None:
    """Anonymous memory of every process in the box."""
    text = box.in_box(
        "for p in /proc/[0-9]*; do"
        " echo $(tr '\\0' ' ' <$p/cmdline | cut -c1-200) '|'"
        " $(grep RssAnon $p/status) '|' $(cut -d' ' -f12 $p/stat); done 2>/dev/null"
    )
    total, faults = 0, 0
    for line in text.splitlines():
        name, anonymous, major = (part.strip() for part in line.rsplit("|", 2))
        if not anonymous:
            continue
        size = int(anonymous.split()[1]) * 1024
        total += size
        faults += int(major)
        kind = "service" if " serve " in name else "forkserver" if "forkserver" in name else "other"
        seen.parts[kind] = max(seen.parts.get(kind, 0), size)
    seen.anonymous.append(total)
    seen.faults = max(seen.faults, faults)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--minutes", type=positive(float), default=1.0)
    parser.add_argument("--memory", default="512m")
    parser.add_argument("--poison", action="store_true")
    parser.add_argument("--roomy-minutes", type=float, default=1.0, help="of the run with 4 GB")
    parser.add_argument("--make", choices=("small", "large"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.make:
        make(args.folder, args.make)
        return 0
    prepare(args.folder)
    image = os.environ["GEOWEIR_IMAGE"]
    rows = []
    for memory, minutes in ((args.memory, args.minutes), ("4g", args.roomy_minutes)):
        if not minutes:
            continue
        seen = run(args.folder, image, memory, minutes, poison=args.poison)
        streams = seen.account["streams"]["s"]
        rows.append([
            memory,
            f"{seen.seconds / 60:.1f}",
            "yes" if seen.is_killed else "no",
            f"{max(seen.anonymous) / 1e6:.0f}",
            ", ".join(f"{kind} {size / 1e6:.0f}" for kind, size in seen.parts.items()),
            f"{seen.settled / seen.seconds:.0f}",
            str(seen.faults),
            f"{streams['reconciled']}",
            f"{seen.account['unaccounted']}",
        ])  # fmt: skip
        print(json.dumps({"memory": memory, "account": seen.account}), flush=True)
    head = ["memory", "minutes", "killed", "anonymous MB, all", "MB, the most", "inputs/s"]
    print(json.dumps(describe()))
    print(markdown([*head, "major faults", "reconciled", "unaccounted"], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main_of("small_gateway.py", main))
