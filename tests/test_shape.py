"""What the tree promises about itself."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from geoweir.core.outcome import REASONS

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "service" / "geoweir"


def test_every_reason_is_documented_under_its_outcome_and_no_other() -> None:
    text = (ROOT / "docs" / "outcomes.md").read_text(encoding="utf-8")
    for outcome, reasons in REASONS.items():
        section = text.split(f"\n## {outcome}\n", 1)[1].split("\n## ", 1)[0]
        rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
        documented = {name for row in rows for name in re.findall(r"`([a-z-]+)`", row)}
        assert documented == {reason for reason in reasons if reason}, outcome


def test_every_answered_threat_has_tests_that_carry_its_number_and_no_other_has() -> None:
    table = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    answered = {int(number) for number in re.findall(r"^\| ([0-9]+) \|", table, re.MULTILINE)}
    tests = (ROOT / "tests").rglob("test_*.py")
    text = "".join(path.read_text(encoding="utf-8") for path in tests)
    assert answered == {int(number) for number in re.findall(r"\bdef test_t([0-9]+)_", text)}
    for row, named in re.findall(r"^\| ([0-9]+) \|.*?((?: ?`test_\w+`)*) \|$", table, re.MULTILINE):
        for name in re.findall(r"`(\w+)`", named):
            assert name.startswith(f"test_t{int(row):02}_"), name
            assert f"def {name}(" in text, name


def test_every_init_is_empty() -> None:
    assert [p for p in PACKAGE.rglob("__init__.py") if p.read_text(encoding="utf-8").strip()] == []


def test_the_command_line_imports_nothing_heavy() -> None:
    # Worker processes import the parent's main module again.
    code = (
        "import sys, geoweir.cli.command as c; c.main(['healthcheck', 'http://127.0.0.1:1/'])\n"
        "heavy = {'aiomqtt', 'pydantic', 'prometheus_client', 'aiohttp', 'numpy', 'shapely'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.splitlines()[-1] == "[]"


def test_the_service_holds_no_geometry_library() -> None:
    code = (
        "import sys, geoweir.app.service\n"
        "print(sorted({'numpy', 'shapely', 'pyproj'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_the_supervisor_of_processes_holds_neither_geometry_nor_an_mqtt_client() -> None:
    code = (
        "import sys, geoweir.app.fleet.supervisor, geoweir.cli.supervise\n"
        "heavy = {'numpy', 'shapely', 'pyproj', 'aiomqtt', 'paho', 'pydantic', 'yaml'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_the_example_of_the_readme_is_a_configuration(tmp_path: Path) -> None:
    from geoweir.settings.load import load

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    example = readme.split("```yaml\n", 1)[1].split("```", 1)[0]
    (tmp_path / "gw.yaml").write_text(example, encoding="utf-8")
    (tmp_path / "districts.geojson").write_text(
        '{"type": "FeatureCollection", "features": []}', encoding="utf-8"
    )
    loaded = load(tmp_path / "gw.yaml", {})
    assert [fault.line_form() for fault in loaded.faults] == []
    assert loaded.settings is not None
