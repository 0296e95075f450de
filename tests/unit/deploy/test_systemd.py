"""The unit file, as systemd reads it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_UNIT = Path(__file__).parents[3] / "deploy/systemd/geoweir.service"
_MOST_EXPOSED = 2.0
_PATIENCE_S = 60

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="no systemd-analyze"
)


def analyzed(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments],
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
        check=False,
    )


def test_the_unit_is_understood_without_a_warning(tmp_path: Path) -> None:
    unit = tmp_path / _UNIT.name
    text = _UNIT.read_text(encoding="utf-8").replace("/opt/geoweir/bin/python", sys.executable)
    unit.write_text(text, encoding="utf-8")
    done = analyzed("verify", "--man=no", str(unit))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_unit_exposes_little() -> None:
    done = analyzed("security", "--offline=true", str(_UNIT))
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found is not None, done.stderr
    assert float(found[1]) <= _MOST_EXPOSED
