"""Fuzzing of the layer reader: damaged files, and everything that reads them.

    python tests/fuzz/run.py --seconds 600 --seed 1 --sanitize
    python tests/fuzz/run.py --seed 1 --case 1234            # one case again, its file kept

A child process makes and reads the damaged files; this one watches it. A child that dies, hangs or
takes too much memory is a finding: its case and file are kept, and the next child goes on behind
it. So is an error that isn't geoweir's or GEOS's, which a worker wouldn't know whom to blame for.
``--sanitize`` builds the kernel with the address and undefined-behaviour sanitizers, in a folder of
its own. Exit status: 0 nothing found, 1 findings, 2 it couldn't be run.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
BUILD: Final = ROOT / "service" / "geoweir" / "spatial" / "kernel" / "build.py"
SANITIZERS: Final = "-g -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined"
HANG_S: Final = 30.0  # of one case; the slowest sound one takes some 20 ms
MEMORY: Final = 2_000_000_000  # bytes resident, the sanitizer's own included
_LOG_LINES: Final = 30
_POLL_S: Final = 0.2
_PROGRESS: Final = struct.Struct("<q")


@dataclass(slots=True)
class Report:
    """What came of a run."""

    cases: int = 0
    drives: int = 0
    refused: int = 0
    ways: dict[str, int] = field(default_factory=dict)
    untidy: dict[str, list[Any]] = field(default_factory=dict)  # by place: count, a case, its words
    deaths: list[dict[str, Any]] = field(default_factory=list)

    def add(self, tally: dict[str, Any]) -> None:
        """Takes over what a child counted."""
        self.cases += tally["cases"]
        self.drives += tally["drives"]
        self.refused += tally["refused"]
        for way, count in tally["ways"].items():
            self.ways[way] = self.ways.get(way, 0) + count
        for what, (count, *example) in tally["untidy"].items():
            self.untidy.setdefault(what, [0, *example])[0] += count

    def lines(self) -> list[str]:
        """For people."""
        refused = self.refused / max(self.drives, 1)
        return [
            f"{self.cases:,} damaged files, {self.drives:,} drives, {refused:.0%} refused",
            "ways      " + ", ".join(f"{way} {count:,}" for way, count in self.ways.items()),
            *(
                f"DEATH     case {one['case']}: {one['why']}, kept in {one['file']}\n{one['log']}"
                for one in self.deaths
            ),
            *(
                f"UNTIDY    {count:,} x {what}, as in case {case}: {words}"
                for what, (count, case, words) in self.untidy.items()
            ),
            f"{len(self.deaths)} deaths, {len(self.untidy)} untidy errors",
        ]


class Child:
    """One child process and the file through which it says which case it is at."""

    def __init__(self, given: argparse.Namespace, folder: Path, first: int, seconds: float) -> None:
        self._progress = folder / "progress"
        self._tally = folder / "tally.json"
        self._log = (folder / "log").open("w+b")
        self._progress.write_bytes(_PROGRESS.pack(first))
        self._tally.unlink(missing_ok=True)
        self._case, self._since = first, time.monotonic()
        options = ["--seed", given.seed, "--first", first, "--seconds", f"{seconds:.1f}"]
        options += ["--drivers", *given.drivers]
        command = [sys.executable, HERE / "child.py", folder, *options]
        self._process = subprocess.Popen(
            list(map(str, [*command, *(["--count", 1] if given.case is not None else [])])),
            env=_environment(folder),
            stdout=self._log,
            stderr=self._log,
        )

    def watched(self) -> str | None:
        """Waits for its end; None, or why it died or was killed."""
        while self._process.poll() is None:
            time.sleep(_POLL_S)
            why = self._excess()
            if why is not None:
                self._process.send_signal(signal.SIGKILL)
                self._process.wait()
                return why
        code = self._process.returncode
        return None if code == 0 else f"ended with {code}"

    def _excess(self) -> str | None:
        case = self.case
        if case != self._case:
            self._case, self._since = case, time.monotonic()
        if time.monotonic() - self._since > HANG_S:
            return f"took more than {HANG_S:g} s"
        if _resident(self._process.pid) > MEMORY:
            return f"took more than {MEMORY / 1e6:g} MB"
        return None

    @property
    def case(self) -> int:
        """The case that it is at."""
        return int(_PROGRESS.unpack(self._progress.read_bytes())[0])

    def tally(self) -> dict[str, Any] | None:
        """What it counted by its last note."""
        try:
            made: dict[str, Any] = json.loads(self._tally.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        return made

    def log(self) -> str:
        """What it wrote, shortened."""
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").splitlines()
        return "\n".join(f"          {line}" for line in lines[:_LOG_LINES])


def _resident(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * mmap.PAGESIZE


def _environment(folder: Path) -> dict[str, str]:
    path = os.pathsep.join([str(ROOT / "service"), str(ROOT / "tests")])
    made = {**os.environ, "PYTHONPATH": path, "PYTHONMALLOC": "malloc", "OPENBLAS_NUM_THREADS": "1"}
    kernel = folder / "kernel.txt"
    if kernel.exists():
        made |= {
            "GEOWEIR_FUZZ_KERNEL": kernel.read_text(),
            # The runtime comes before all, then what throws exceptions for GEOS.
            "LD_PRELOAD": " ".join(map(_library, ["libasan.so", "libstdc++.so.6"])),
            "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1:max_allocation_size_mb=512",
            "UBSAN_OPTIONS": "print_stacktrace=1",
        }
    return made


def _library(name: str) -> str:
    """Where the compiler has a library of its own."""
    found = subprocess.run(
        ["gcc", f"-print-file-name={name}"], capture_output=True, text=True, check=True
    )
    return found.stdout.strip()


def make_corpus(folder: Path) -> None:
    """The sound files, made without a sanitizer."""
    subprocess.run(
        [sys.executable, HERE / "corpus.py", folder],
        env=_environment(folder),
        stdout=subprocess.DEVNULL,
        check=True,
    )


def build_sanitized(folder: Path) -> None:
    """Builds the kernel with sanitizers below ``folder``, and notes where it is."""
    code = (
        "import runpy, sys; b = runpy.run_path(sys.argv[1], run_name='build');"
        " print(b['builder'](is_optional=False).compile(tmpdir=sys.argv[2]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(BUILD), str(folder)],
        env={**os.environ, "GEOWEIR_CFLAGS": SANITIZERS},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"the kernel can't be built:\n{done.stderr[-2000:]}")
    (folder / "kernel.txt").write_text(done.stdout.splitlines()[-1])


def fuzz(given: argparse.Namespace, folder: Path) -> Report:
    """Runs children until the time is over."""
    report, case = Report(), given.case if given.case is not None else 0
    end = time.monotonic() + given.seconds
    while (left := end - time.monotonic()) > 0:
        child = Child(given, folder, case, left)
        why = child.watched()
        tally = child.tally()
        if tally is not None:
            report.add(tally)
        if why is None:
            break
        report.deaths.append(_kept(child, why, folder, given.keep))
        case = child.case + 1
        if given.case is not None or len(report.deaths) >= given.deaths:
            break
    return report


def _kept(child: Child, why: str, folder: Path, keep: Path) -> dict[str, Any]:
    """A death, and the file that it came of where it can be found again."""
    keep.mkdir(parents=True, exist_ok=True)
    file = keep / f"case-{child.case}.gwl"
    culprit = folder / "case.gwl"
    if culprit.exists():
        file.write_bytes(culprit.read_bytes())
    return {"case": child.case, "why": why, "file": str(file), "log": child.log()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--case", type=int, help="this one case only")
    parser.add_argument("--sanitize", action="store_true", help="address and undefined sanitizers")
    parser.add_argument("--drivers", nargs="*", default=[], help="only these; else all")
    parser.add_argument("--deaths", type=int, default=20, help="so many are enough")
    parser.add_argument(
        "--keep", type=Path, default=Path("fuzz-found"), help="a folder for culprits"
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="geoweir-fuzz-") as name:
        folder = Path(name)
        make_corpus(folder / "corpus")
        if given.sanitize:
            build_sanitized(folder)
        report = fuzz(given, folder)
    print("\n".join(report.lines()))
    return 1 if report.deaths or report.untidy or not report.cases else 0


if __name__ == "__main__":
    sys.exit(main())
