"""``geoweir check`` as its users have it: every fault in its place, and the answer of ``run``."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from support.configurations import SQUARE
from support.service import clean_environment, command

SOUND = """\
mqtt: {url: "mqtt://127.0.0.1:1"}
layers: {zones: {path: zones.geojson}}
streams:
  a:
    subscribe: in/+
    steps:
      - join: {layer: zones, attach: [name]}
      - python: steps:fine
http: {listen: "127.0.0.1:0"}
"""
MODULE = """\
print("imported")
value = 1
def fine(chunk): pass
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "zones.geojson").write_text(SQUARE)
    (tmp_path / "steps.py").write_text(MODULE)
    (tmp_path / "ill.py").write_text("import surely_not_installed")
    (tmp_path / "broken.geojson").write_text(SQUARE[:-5])
    return tmp_path


def check(folder: Path, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "gw.yaml").write_text(dedent(text))
    return command("check", "-c", "gw.yaml", *arguments, folder=folder)


def test_a_sound_configuration_is_exit_0_with_the_plan(folder: Path) -> None:
    found = check(folder, SOUND)
    assert found.returncode == 0
    lines = found.stdout.splitlines()
    (read,) = (line for line in lines if line.startswith("read "))
    assert re.fullmatch(r"read      zones: 1 features, EPSG:4326, version [0-9a-f]{12}", read)
    assert lines[-1] == "0 errors, 0 warnings, broker not tried; --connect. Ready to run."


FAULTS = {
    "a-field-that-no-feature-has": (
        SOUND.replace("[name]", "[nmae]"),
        "gw.yaml:7:9 streams.a.steps[0].join: no feature of layer zones has 'nmae'. Its fields: ",
    ),
    "a-function-that-is-not-there": (
        SOUND.replace("steps:fine", "steps:absent"),
        "gw.yaml:8:9 streams.a.steps[1].python: steps:absent can't be imported: AttributeError:",
    ),
    "what-is-no-function": (
        SOUND.replace("steps:fine", "steps:value"),
        "gw.yaml:8:9 streams.a.steps[1].python: steps:value is not a plain function. Give one",
    ),
    "a-module-that-lacks-another": (
        SOUND.replace("steps:fine", "ill:fine"),
        "gw.yaml:8:9 streams.a.steps[1].python: ill:fine can't be imported: ModuleNotFoundError:",
    ),
    "a-layer-that-is-cut-off": (
        SOUND.replace("path: zones", "path: broken"),
        "gw.yaml:2:18 layers.zones.path: ",
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_what_a_worker_could_not_make_is_a_fault_with_its_place_and_stops_run_too(
    folder: Path, case: str
) -> None:
    text, line = FAULTS[case]
    found = check(folder, text)
    assert found.returncode == 2
    assert found.stderr.splitlines()[-1].startswith(line), found.stderr
    assert found.stdout.endswith("Nothing was started.\n")
    ran = command("run", "-c", "gw.yaml", folder=folder)
    assert ran.returncode in {1, 2}
    assert "Traceback" not in ran.stderr


def test_every_fault_of_every_step_is_named_at_once(folder: Path) -> None:
    text = SOUND.replace("[name]", "[nmae]").replace("steps:fine", "steps:absent")
    found = check(folder, text, "--format", "json")
    report = json.loads(found.stdout)
    assert report["ok"] is False
    assert [fault["line"] for fault in report["faults"]] == [7, 8]
    assert [fault["code"] for fault in report["faults"]] == ["unknown-name", "broken-module"]


def test_strict_makes_a_warning_an_error_and_says_so(folder: Path) -> None:
    text = SOUND.replace("in/+", "[in/+, in/+]")
    assert check(folder, text).returncode == 0
    strict = check(folder, text, "--strict")
    assert strict.returncode == 2
    assert strict.stdout.endswith("Nothing was started.\n")


def test_no_broker_is_one_line(folder: Path) -> None:
    found = check(folder, SOUND, "--connect")
    assert found.returncode == 1
    assert "broker: error: broker 127.0.0.1:1: connection refused" in found.stderr.splitlines()


def test_a_reader_who_leaves_early_sees_no_traceback(folder: Path) -> None:
    (folder / "gw.yaml").write_text(SOUND)
    run = [sys.executable, "-u", "-m", "geoweir", "check", "-c", "gw.yaml"]
    process = subprocess.Popen(
        run,
        cwd=folder,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr:
        assert process.stderr.read() == "imported\n"
    assert process.wait(30) == 1
