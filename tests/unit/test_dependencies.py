"""What geoweir is made of: locked, new enough, and nothing that it does not need."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "service" / "geoweir"
LOCKS = ("requirements.lock", "requirements-full.lock")
ORJSON = (3, 11, 6)  # earlier ones crash on deep results

#: Rooms through which payloads go.
_PATH = ("codec", "core", "mqtt", "pool", "stages", "steps")
_UNPACKING = r"^\s*(?:import|from) (?:zlib|gzip|bz2|lzma|zstandard|compression|brotli)\b"


def numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


def test_t10_no_room_on_the_way_of_payloads_can_unpack_anything() -> None:
    files = [file for room in _PATH for file in (PACKAGE / room).rglob("*.py")]
    assert len(files) > 50
    found = [f for f in files if re.search(_UNPACKING, f.read_text("utf-8"), re.MULTILINE)]
    assert found == []


def test_t22_no_format_of_point_clouds_is_decoded() -> None:
    assert_absent("laspy", "lazrs", "pdal")


def test_t23_no_format_of_protobuf_is_decoded() -> None:
    assert_absent("google.protobuf", "tahu")


def test_t32_no_cells_are_filled() -> None:
    assert_absent("h3", "s2sphere")


def assert_absent(*names: str) -> None:
    """Neither imported nor installed."""
    text = "\n".join(file.read_text("utf-8") for file in PACKAGE.rglob("*.py"))
    locked = "\n".join((ROOT / "docker" / lock).read_text("utf-8") for lock in LOCKS).lower()
    for name in names:
        assert not re.search(rf"^\s*(?:import|from) {re.escape(name)}\b", text, re.MULTILINE)
        assert not re.search(rf"^{name.rpartition('.')[2]}==", locked, re.MULTILINE)


def test_t08_the_json_library_is_one_that_does_not_crash_on_deep_results() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (floor,) = (d for d in project["dependencies"] if d.startswith("orjson"))
    assert numbers(floor.partition(">=")[2]) >= ORJSON
    assert numbers(version("orjson")) >= ORJSON
    for lock in LOCKS:
        (locked,) = re.findall(
            r"^orjson==(\S+)", (ROOT / "docker" / lock).read_text(), re.MULTILINE
        )
        assert numbers(locked) >= ORJSON


@pytest.mark.parametrize("lock", LOCKS)
def test_t34_every_package_of_the_image_is_locked_by_its_hash(lock: str) -> None:
    entries = re.split(r"\n(?=\w)", (ROOT / "docker" / lock).read_text("utf-8").strip())
    entries = [entry for entry in entries if not entry.startswith("#")]
    assert len(entries) > 20
    assert [e[:60] for e in entries if not re.match(r"[\w.-]+==\S+", e)] == []
    assert [e[:60] for e in entries if not re.search(r"--hash=sha256:[0-9a-f]{64}", e)] == []
    assert "--require-hashes" in (ROOT / "docker" / "Dockerfile").read_text("utf-8")


@pytest.mark.parametrize("is_altered", [False, True])
def test_t34_an_altered_wheel_is_not_installed(tmp_path: Path, *, is_altered: bool) -> None:
    wheel = tmp_path / "some-1.0-py3-none-any.whl"
    make_wheel(wheel, "VALUE = 1\n")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    lock = tmp_path / "some.lock"
    lock.write_text(f"some==1.0 --hash=sha256:{digest}\n", encoding="utf-8")
    if is_altered:
        make_wheel(wheel, "VALUE = 2\n")
    place = ["--no-index", "--find-links", str(tmp_path), "--target", str(tmp_path / "lib")]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", *place, *options_of_the_image(), "-r", str(lock)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode != 0) is is_altered, done.stderr
    assert (tmp_path / "lib" / "some.py").exists() is not is_altered
    assert ("DO NOT MATCH THE HASHES" in done.stderr) is is_altered


def options_of_the_image() -> list[str]:
    """What the image's builder gives to pip for the lock."""
    text = (ROOT / "docker" / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    (line,) = (line for line in text.splitlines() if "--require-hashes" in line)
    options: list[str] = re.search(r"install (.*?) -r ", line)[1].split()  # type: ignore[index]
    return options


def make_wheel(path: Path, code: str) -> None:
    metadata = "Metadata-Version: 2.1\nName: some\nVersion: 1.0\n"
    about = "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("some.py", code)
        file.writestr("some-1.0.dist-info/METADATA", metadata)
        file.writestr("some-1.0.dist-info/WHEEL", about)
        file.writestr("some-1.0.dist-info/RECORD", "")
