"""Libraries of the tests' own, compiled when they are needed and preloaded into a service."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

__all__ = ["compile_preload"]


def compile_preload(name: str, folder: Path) -> Path:
    """``support/NAME.c`` as a shared library; skips, by name, without a C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler here")
    library, source = folder / f"{name}.so", Path(__file__).with_name(f"{name}.c")
    options = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC"]
    subprocess.run([compiler, *options, "-o", str(library), str(source), "-ldl"], check=True)
    return library
