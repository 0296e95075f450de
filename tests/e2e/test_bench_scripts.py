"""The measurements work: they start what they measure, and find every result."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parents[2] / "bench"

pytestmark = [pytest.mark.mosquitto, pytest.mark.slow, pytest.mark.timeout(300)]


def bench(name: str, *arguments: str, report: Path) -> tuple[str, dict[str, Any]]:
    """What it prints, and its report."""
    done = subprocess.run(
        [sys.executable, BENCH / f"{name}.py", *arguments, "--json", report],
        capture_output=True,
        text=True,
        timeout=290,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout, json.loads(report.read_text(encoding="utf-8"))


def test_the_reference_sees_every_result_of_every_candidate(tmp_path: Path) -> None:
    chosen = "geoweir-5-2w,raw-echo-5,ceiling"
    text, report = bench(
        "end_to_end", "--quick", "--candidates", chosen, report=tmp_path / "report.json"
    )
    assert [run["candidate"] for run in report["runs"]] == chosen.split(",")
    for run in report["runs"]:
        assert run["faults"] == []
        assert run["saturated"]["sent"] > 0
        assert run["saturated"]["missing"] == 0
    ours = report["runs"][0]
    assert ours["account"]["unaccounted"] == 0
    assert [load["share"] for load in ours["loads"]] == [0.1, 0.5]
    assert ours["cpu_us"]["parent"] > 0
    assert ours["cpu_us"]["workers"] > 0
    assert {"date", "machine", "versions", "workload", "plan"} <= report.keys()
    assert "geoweir-5-2w by raw-echo-5" in text


def test_culprits_are_reconciled_one_by_one(tmp_path: Path) -> None:
    arguments = ["--brokers", "mosquitto", "--rounds", "1", "--seconds", "4", "--every", "8000"]
    _, report = bench("culprits", *arguments, report=tmp_path / "report.json")
    (run,) = report["runs"]
    assert run["faults"] == []
    assert run["with"]["main"]["reconciled"] == run["with"]["marked"] > 0
    assert run["without"]["main"]["reconciled"] == 0


def test_a_flood_comes_out_whole(tmp_path: Path) -> None:
    _, report = bench("flood", "--messages", "5000", report=tmp_path / "report.json")
    assert report["faults"] == []
    assert report["seen"]["sent"] == 5000
    assert report["account"]["streams"]["positions"]["published"] == 7000
    assert report["max_rss_mb"] >= report["start_rss_mb"] > 0
