"""Makes a release's wheels, x86-64 and aarch64, and source distribution: ``make wheels``.

Each wheel holds the compiled kernel (limited API, so one for all Pythons from 3.11 on). The other
machine's is cross-compiled (Debian: ``gcc-aarch64-linux-gnu libc6-dev-arm64-cross``). The platform
tag is the oldest manylinux whose glibc has every symbol that the kernel uses, read out of it with
``objdump``. Two runs of one commit give the same bytes: no time is later than SOURCE_DATE_EPOCH.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Final

__all__ = ["manylinux", "newest_glibc"]

PROJECT: Final = Path(__file__).parent.parent
MACHINES: Final = ("x86_64", "aarch64")
_OLDEST: Final = 17  # manylinux2014, which pip knows everywhere
_KERNEL: Final = re.compile(r"geoweir/spatial/kernel/_kernel\.abi3\.so$")


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("-o", "--output", type=Path, default=PROJECT / "dist")
    parser.add_argument("--machine", choices=MACHINES, action="append")
    args = parser.parse_args()
    args.output.mkdir(exist_ok=True)
    failed = False
    for machine in args.machine or MACHINES:
        compiler = _compiler(machine)
        if compiler is None:
            print(f"{machine}: skipped, no {machine}-linux-gnu-gcc", file=sys.stderr)
            failed = True
            continue
        _told(_wheel(machine, compiler, args.output))
    _told(_build("sdist", args.output, {}))
    return failed


def _told(path: Path) -> None:
    print(f"{path.name}  sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}")


def _compiler(machine: str) -> str | None:
    if machine == platform.machine():
        return shutil.which("gcc")
    return shutil.which(f"{machine}-linux-gnu-gcc")


def _wheel(machine: str, compiler: str, output: Path) -> Path:
    """Builds, looks at the kernel, and gives the wheel its tag."""
    with tempfile.TemporaryDirectory() as scratch:
        built = _build(
            "wheel",
            Path(scratch),
            {
                "CC": compiler,
                "LDSHARED": f"{compiler} -shared",
                # gcc 12 for aarch64 crashes when it vectorizes a loop of the kernel.
                "GEOWEIR_CFLAGS": "" if compiler.endswith("/gcc") else "-fno-tree-vectorize",
                "CFLAGS": "-g0",  # debug information would tell of a folder that is gone
                "_PYTHON_HOST_PLATFORM": f"linux-{machine}",
            },
        )
        tag = f"{manylinux(newest_glibc(_symbols(built, machine, Path(scratch))))}_{machine}"
        done = _run(
            [
                sys.executable,
                "-m",
                "wheel",
                "tags",
                "--remove",
                f"--platform-tag={tag}",
                str(built),
            ],
            {},
        )
        named = built.parent / done.strip().splitlines()[-1]
        return Path(shutil.copy(named, output / named.name))


def _build(what: str, output: Path, environment: dict[str, str]) -> Path:
    """One distribution, of a copy of the sources: nothing that lies about gets into it."""
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / "geoweir"
        tree.mkdir()
        for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
            shutil.copy(PROJECT / name, tree)
        ignored = shutil.ignore_patterns("__pycache__", "*.so", "*.o", "_kernel.c", "*.egg-info")
        shutil.copytree(PROJECT / "service", tree / "service", ignore=ignored)
        before = set(output.iterdir())
        _run(
            [
                sys.executable,
                "-m",
                "build",
                f"--{what}",
                "--no-isolation",
                f"--outdir={output}",
                str(tree),
            ],
            environment,
        )
        (made,) = set(output.iterdir()) - before or {
            max(output.iterdir(), key=lambda p: p.stat().st_mtime)
        }
        return made


def _symbols(wheel: Path, machine: str, scratch: Path) -> str:
    """The dynamic symbols of the kernel in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if _KERNEL.search(name)]
        if not names:
            raise SystemExit(
                f"{wheel.name}: there is no kernel in it; the compiler's errors are above"
            )
        kernel = archive.extract(names[0], scratch)
    tool = "objdump" if machine == platform.machine() else f"{machine}-linux-gnu-objdump"
    text = _run([tool, "-f", "-T", kernel], {})
    if machine.replace("_", "-") not in text and machine not in text:
        raise SystemExit(f"{wheel.name}: its kernel is for another machine")
    return text


def newest_glibc(symbols: str) -> int:
    """The minor version of the newest glibc 2.x that symbols need."""
    return max((int(minor) for minor in re.findall(r"GLIBC_2\.(\d+)", symbols)), default=0)


def manylinux(minor: int) -> str:
    """The oldest platform tag that has this glibc 2.x."""
    return "manylinux2014" if minor <= _OLDEST else f"manylinux_2_{minor}"


def _run(command: list[str], environment: dict[str, str]) -> str:
    epoch = os.environ.get("SOURCE_DATE_EPOCH") or _commit_time()
    whole = os.environ | {"SOURCE_DATE_EPOCH": epoch, "PYTHONHASHSEED": "0"} | environment
    done = subprocess.run(command, env=whole, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout


def _commit_time() -> str:
    command = ["git", "-C", str(PROJECT), "log", "-1", "--format=%ct"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "1764028800"


if __name__ == "__main__":
    sys.exit(main())
