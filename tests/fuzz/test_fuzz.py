"""A few seconds of fuzzing, in a process of its own so that a crash is a failure and no more.

The long run, under sanitizers, is made by hand: docs/spatial-fuzz.md.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from fuzz.corpus import make_corpus
from geoweir.spatial.file.mapped import MappedFile
from geoweir.spatial.kernel.loaded import has_kernel

RUN = Path(__file__).parent / "run.py"


@pytest.mark.parametrize(
    ("seed", "seconds"), [("5", "5"), pytest.param("6", "20", marks=pytest.mark.slow)]
)
def test_damaged_files_crash_nothing(tmp_path: Path, seed: str, seconds: str) -> None:
    done = subprocess.run(
        [sys.executable, RUN, "--seconds", seconds, "--seed", seed, "--keep", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.match(r"([\d,]+) damaged files, ([\d,]+) drives, (\d+)% refused", done.stdout)
    assert found is not None
    assert int(found[1].replace(",", "")) > 10
    assert 0 < int(found[3]) < 100, "all refused, or none: the damage is not what it was"


@pytest.mark.skipif(not has_kernel(), reason="cells are built by the kernel")
def test_the_corpus_has_every_section_that_a_file_can_have(tmp_path: Path) -> None:
    found = {
        section
        for path in make_corpus(tmp_path)
        for section in MappedFile.open(path).header.sections
    }
    assert found == {
        "meta", "source", "dimensions", "features", "parts", "rings", "coordinates", "boxes",
        "fields", "columns", "box_tree", "cells", "cell_nodes", "cell_lists",
        "segments.runs", "segments.blocks", "segments.measures", "band1", "flags1",
    }  # fmt: skip
