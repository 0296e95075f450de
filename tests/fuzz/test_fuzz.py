"""Five seconds of fuzzing, in a process of its own so that a crash is a failure and no more.

The long run, under sanitizers, is made by hand: docs/spatial-fuzz.md.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

RUN = Path(__file__).parent / "run.py"


def test_damaged_layer_files_crash_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, RUN, "--seconds", "5", "--seed", "5", "--keep", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.match(r"([\d,]+) damaged files, ([\d,]+) drives, (\d+)% refused", done.stdout)
    assert found is not None
    assert int(found[1].replace(",", "")) > 10
    assert 0 < int(found[3]) < 100, "all refused, or none: the damage is not what it was"
