"""``geoweir compile`` and ``geoweir layer`` as their users have them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from geoweir.spatial.file.format import read_header
from support.layers import memory_file
from support.service import clean_environment, command

BOWTIE = [[[5, 5], [7, 7], [7, 5], [5, 7], [5, 5]]]
SQUARE = [[[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]]]


def line(ident: str, rings: object, **properties: object) -> str:
    geometry = {"type": "Polygon", "coordinates": rings}
    return json.dumps(
        {"type": "Feature", "id": ident, "properties": properties, "geometry": geometry}
    )


TWO = line("a", SQUARE, name="Ä", big=2**70) + "\n" + line("b\x1b[2J", BOWTIE) + "\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "two.geojsonl").write_text(TWO, encoding="utf-8")
    return tmp_path


def version(path: Path) -> str:
    with path.open("rb") as file:
        return read_header(file.fileno()).version


def test_a_layer_is_compiled_described_and_queried(folder: Path) -> None:
    made = command("compile", "two.geojsonl", "-o", "two.gwl", folder=folder)
    assert made.returncode == 0
    assert made.stdout.startswith("two.gwl: 2 features, 1 repaired, EPSG:4326, ")
    assert "b\\x1b[2J: repaired: Self-intersection" in made.stderr
    told = json.loads(
        command("layer", "info", "two.gwl", "--verify", "--json", folder=folder).stdout
    )
    assert (told["features"], told["repaired"], told["verified"]) == (2, 1, True)
    assert told["fields"] == ["name", "big"]
    for x, where in (("1", "interior"), ("2", "boundary")):
        asked = command("layer", "query", "two.gwl", x, "1", "--json", folder=folder)
        (found,) = json.loads(asked.stdout)
        assert found == {"id": "a", "where": where, "properties": {"name": "Ä", "big": 2**70}}
    nothing = command("layer", "query", "two.gwl", "-9", "1", folder=folder)
    assert (nothing.returncode, nothing.stdout) == (1, "no feature\n")


def test_equal_sources_have_equal_versions_from_standard_input_too(folder: Path) -> None:
    for name in ("one.gwl", "again.gwl"):
        assert command("compile", "two.geojsonl", "-o", name, folder=folder).returncode == 0
    assert (folder / "one.gwl").read_bytes() == (folder / "again.gwl").read_bytes()


@pytest.mark.parametrize("way", ["--fd {}", "-o /dev/fd/{}", "-o /proc/self/fd/{}"])
def test_a_text_sequence_is_compiled_into_an_open_descriptor(folder: Path, way: str) -> None:
    with memory_file() as descriptor:
        os.write(descriptor, b"what was there before" * 1000)
        done = subprocess.run(
            [sys.executable, "-m", "geoweir", "compile", "-", *way.format(descriptor).split()],
            cwd=folder,
            env=clean_environment(),
            input=TWO.encode(),
            capture_output=True,
            pass_fds=(descriptor,),
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert read_header(descriptor).kind == "layer"


def test_strict_refuses_and_leaves_the_old_layer(folder: Path) -> None:
    (folder / "two.gwl").write_bytes(b"old")
    done = command("compile", "two.geojsonl", "-o", "two.gwl", "--strict", folder=folder)
    assert done.returncode == 1
    assert "1 repaired; --strict takes features only as they stand" in done.stderr
    assert (folder / "two.gwl").read_bytes() == b"old"


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["two.geojsonl", "-o", "x.gwl", "--max-memory", "1"], 2, "this is not a size"),
        (["two.geojsonl", "-o", "x.gwl", "--max-memory", "1MB"], 2, "Give at least 200MB"),
        (["two.geojsonl", "-o", "."], 2, "is a folder"),
        (["two.geojsonl", "--fd", "99"], 2, "descriptor 99 can't be written to"),
        (["two.geojsonl", "-o", "no/x.gwl"], 1, "can't be written"),
        (["two.geojsonl", "-o", "x.gwl", "--id", "no"], 1, "Properties: name, big"),
        (["two.geojsonl", "-o", "x.gwl", "--keep", "no"], 1, "no feature has the property 'no'"),
        (["two.geojsonl", "-o", "x.gwl", "--crs", "x"], 1, "is no CRS name"),
        (["none.geojson", "-o", "x.gwl"], 1, "there is no such file"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    folder: Path, arguments: list[str], status: int, says: str
) -> None:
    done = command("compile", *arguments, folder=folder)
    assert done.returncode == status, done.stderr
    assert says in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert [path.name for path in folder.iterdir()] == ["two.geojsonl"]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_however_it_ends_the_old_layer_is_there_and_nothing_else(
    folder: Path, how: signal.Signals
) -> None:
    (folder / "two.gwl").write_bytes(b"old")
    process = subprocess.Popen(
        [sys.executable, "-m", "geoweir", "compile", "-", "-o", "two.gwl", "--max-memory", "200MB"],
        cwd=folder,
        env=clean_environment(),
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    with process.stdin:
        process.stdin.write(line("n", SQUARE, text="x" * 1000).encode() + b"\n")
        process.stdin.flush()
        for _ in range(40_000):
            process.stdin.write(line("n", SQUARE, text="x" * 1000).encode() + b"\n")
        process.stdin.flush()
        time.sleep(0.2)
        process.send_signal(how)
        assert process.wait(timeout=20) != 0
    assert sorted(path.name for path in folder.iterdir()) == ["two.geojsonl", "two.gwl"]
    assert (folder / "two.gwl").read_bytes() == b"old"


def test_a_damaged_file_is_one_clear_line_everywhere(folder: Path) -> None:
    assert command("compile", "two.geojsonl", "-o", "two.gwl", folder=folder).returncode == 0
    whole = (folder / "two.gwl").read_bytes()
    config = "{layers: {z: {path: z.gwl}}, streams: {a: {subscribe: a, steps: [join: {layer: z}]}}}"
    (folder / "gw.yaml").write_text(config.replace("[join: {layer: z}]", "[{join: {layer: z}}]"))
    for content, says in [
        (whole[:-1], "bytes and should have"),
        (whole[:100], "it ends within its first page"),
        (b"GIF89a" + whole, "it is no file that geoweir compiled"),
        (whole[:130] + bytes([whole[130] ^ 1]) + whole[131:], "its first page is damaged"),
    ]:
        (folder / "z.gwl").write_bytes(content)
        info = command("layer", "info", "z.gwl", folder=folder)
        check = command("check", "-c", "gw.yaml", folder=folder)
        assert (info.returncode, check.returncode) == (1, 2)
        assert len(info.stderr.splitlines()) == 1
        assert says in info.stderr
        (fault,) = (text for text in check.stderr.splitlines() if "z.path" in text)
        assert says in fault
    flipped = bytearray(whole)
    flipped[-1] ^= 1
    (folder / "z.gwl").write_bytes(flipped)
    verified = command("layer", "info", "z.gwl", "--verify", folder=folder)
    assert verified.returncode == 1
    assert "is damaged. Copy or compile it again." in verified.stderr


def test_check_says_what_it_read_and_without_a_kernel_so(folder: Path) -> None:
    (folder / "gw.yaml").write_text(
        "{layers: {z: {path: two.geojsonl}}, streams: {a: {subscribe: a}}}"
    )
    cache = str(folder / "cache")
    done = command(
        "check", "-c", "gw.yaml", folder=folder, GEOWEIR_CACHE=cache, GEOWEIR_KERNEL="off"
    )
    assert done.returncode == 0, done.stderr
    assert "no C kernel: shapely's STRtree answers, with the same results; slower" in done.stdout
    (entry,) = (folder / "cache" / "geoweir-layers").glob("*.gwl")
    short = version(entry)[:12]
    wanted = f"read      z: 2 features, EPSG:4326, version {short}, 1 repaired"
    assert wanted in done.stdout.splitlines()
