"""The child of ``run.py``: makes damaged files and reads them, and says which one it is at.

A case is a matter of seed and number alone: the sound file, the damage, the driver's questions.
"""

from __future__ import annotations

import argparse
import faulthandler
import importlib.util
import json
import mmap
import os
import struct
import sys
import time
import traceback
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any, Final

_KERNEL: Final = "geoweir.spatial.kernel._kernel"
_NOTE_S: Final = 0.1


def take_kernel(path: str) -> None:
    """Puts a kernel that was built elsewhere in the place of the package's own."""
    spec = importlib.util.spec_from_file_location(_KERNEL, path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    made: ModuleType = importlib.util.module_from_spec(spec)
    sys.modules[_KERNEL] = made
    spec.loader.exec_module(made)


class Tally:
    """What was done, noted in a file now and then."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._noted = time.monotonic()
        self.counts: dict[str, Any] = {
            "cases": 0, "drives": 0, "refused": 0, "ways": {}, "untidy": {},
        }  # fmt: skip

    def untidy(self, case: int, driver: str, error: BaseException) -> None:
        frames = [
            frame
            for frame in traceback.extract_tb(error.__traceback__)
            if "geoweir" in Path(frame.filename).parts
        ]
        at = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "nowhere"
        what = f"{driver}: {type(error).__name__} at {at}"
        self.counts["untidy"].setdefault(what, [0, case, str(error)[:80]])[0] += 1

    def note(self, *, at_once: bool = False) -> None:
        if at_once or time.monotonic() - self._noted > _NOTE_S:
            self._noted = time.monotonic()
            self._path.write_text(json.dumps(self.counts))


def fuzz(given: argparse.Namespace) -> None:
    """Case after case until the time is over."""
    import numpy as np
    from shapely.errors import ShapelyError

    from fuzz.damage import damaged
    from fuzz.drivers import DRIVERS
    from geoweir.errors import GeoweirError

    warnings.simplefilter("ignore")  # of numbers that overflow, say
    folder: Path = given.folder
    sound = [path.read_bytes() for path in sorted((folder / "corpus").iterdir())]
    tally, path = Tally(folder / "tally.json"), folder / "case.gwl"
    end, case = time.monotonic() + given.seconds, given.first
    with (folder / "progress").open("r+b") as file, mmap.mmap(file.fileno(), 8) as progress:
        while time.monotonic() < end and (given.count is None or case < given.first + given.count):
            struct.pack_into("<q", progress, 0, case)
            rng = np.random.default_rng([given.seed, case])
            one, other = (sound[int(at)] for at in rng.integers(0, len(sound), 2))
            way, body = damaged(one, other, rng)
            path.write_bytes(body)
            for name in given.drivers or DRIVERS:
                tally.counts["drives"] += 1
                try:
                    DRIVERS[name](path, np.random.default_rng([given.seed, case]))
                except (GeoweirError, ShapelyError):
                    tally.counts["refused"] += 1
                except Exception as error:  # noqa: BLE001 - any other one is a finding
                    tally.untidy(case, name, error)
            tally.counts["cases"] += 1
            tally.counts["ways"][way] = tally.counts["ways"].get(way, 0) + 1
            tally.note()
            case += 1
    tally.note(at_once=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="See run.py.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--first", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--count", type=int)
    parser.add_argument("--drivers", nargs="*", default=[])
    kernel = os.environ.get("GEOWEIR_FUZZ_KERNEL")
    if kernel:
        take_kernel(kernel)
    else:
        faulthandler.enable()  # a sanitizer reports by itself, and better
    fuzz(parser.parse_args())


if __name__ == "__main__":
    main()
