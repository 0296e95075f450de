"""Builds the C kernel: every ``*.h`` beside this file is declared, every ``*.c`` compiled.

API mode, so that the compiler checks the declarations; limited ABI, so that one binary serves every
Python from 3.11. ``-ffp-contract=off`` because a fused multiply-add (which AArch64 compilers take
by themselves) rounds once where the error bounds of the predicates reckon with twice.

``setup.py`` builds it at install, and goes on without where there is no compiler. By hand, beside
this file: ``python service/geoweir/spatial/kernel/build.py``.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).parent
NAME = "geoweir.spatial.kernel._kernel"


def declarations() -> str:
    """What the headers declare, without what is the preprocessor's."""
    lines = "\n".join(path.read_text() for path in sorted(HERE.glob("[!_]*.h"))).splitlines()
    return "\n".join(line for line in lines if not line.startswith("#"))


def flags() -> list[str]:
    """The compiler's flags; GEOWEIR_CFLAGS adds to them (a sanitizer's, say)."""
    usual = ["-std=c11", "-O3", "-ffp-contract=off", "-fno-math-errno", "-fvisibility=hidden"]
    return [*usual, "-Wall", "-Wextra", *os.environ.get("GEOWEIR_CFLAGS", "").split()]


def builder(*, is_optional: bool = True) -> FFI:
    """The kernel as cffi builds it; where optional, an install goes on without it."""
    folder = HERE.relative_to(Path.cwd()) if HERE.is_relative_to(Path.cwd()) else HERE
    headers = sorted(folder.glob("[!_]*.h"))
    made = FFI()
    made.cdef(declarations())
    made.set_source(
        NAME,
        "\n".join(f'#include "{path.name}"' for path in headers),
        sources=[str(path) for path in sorted(folder.glob("[!_]*.c"))],
        depends=[str(path) for path in headers],
        include_dirs=[str(folder)],
        extra_compile_args=flags(),
        extra_link_args=[flag for flag in flags() if flag.startswith("-fsanitize")],
        libraries=["m"],
        py_limited_api=True,
        optional=is_optional,
    )
    return made


def build_here() -> Path:
    """Builds the kernel into the source tree, in a folder of its own until it is whole."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # which makes all paths absolute
        made = Path(builder(is_optional=False).compile(tmpdir=folder))
        return Path(shutil.copy(made, HERE / made.name))


if __name__ == "__main__":
    print(build_here())  # noqa: T201 - it is a command
else:
    ffi = builder()
