from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from geoweir.core.spec import LayerSpec
from geoweir.errors import ConfigurationError
from geoweir.spatial.compiling import cache, opening
from geoweir.spatial.compiling.opening import compiled
from geoweir.spatial.layerfile import open_layer

POINT = (
    '{"type": "Feature", "properties": {"name": "a", "code": 7},'
    ' "geometry": {"type": "Point", "coordinates": [7, 2]}}'
)


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GEOWEIR_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "a.geojson"
    path.write_text(POINT)
    return path


def spec(source: Path, **more: object) -> LayerSpec:
    return LayerSpec(name="a", path=str(source), **more)  # type: ignore[arg-type]


def test_an_equal_source_is_compiled_once_and_a_changed_one_again(source: Path) -> None:
    first = compiled(spec(source))
    made = first.stat().st_ino
    assert compiled(spec(source)) == first
    assert first.stat().st_ino == made
    source.write_text(POINT.replace("[7, 2]", "[8, 2]"))
    assert compiled(spec(source)) != first
    assert first.exists()


def test_other_options_are_another_file(source: Path) -> None:
    others = [
        compiled(spec(source)),
        compiled(spec(source, crs="EPSG:25832")),
        compiled(spec(source, id="code")),
        compiled(spec(source, keep=("name",))),
    ]
    assert len(set(others)) == 4
    assert open_layer(others[1]).meta["crs"] == "EPSG:25832"
    # Without a name of its own, its coordinates are in the layer's CRS.
    assert open_layer(others[1]).meta["bounds"] == [7, 2, 7, 2]
    assert open_layer(others[3]).meta["fields"] == ["name"]


def test_a_damaged_entry_is_made_again(source: Path) -> None:
    entry = compiled(spec(source))
    whole = entry.read_bytes()
    entry.write_bytes(whole[:-1])
    assert compiled(spec(source)).read_bytes() == whole


def test_a_compiled_layer_is_taken_as_it_is(tmp_path: Path) -> None:
    assert compiled(spec(tmp_path / "a.gwl")) == tmp_path / "a.gwl"


def test_what_was_longest_unused_leaves_first(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = [compiled(spec(source, keep=keep)) for keep in (("name",), ("code",))]
    for age, path in zip((9000, 8000), old, strict=True):
        os.utime(path, (time.time() - age,) * 2)
    monkeypatch.setattr(cache, "_MOST_BYTES", 2 * old[0].stat().st_size + 4096)
    new = compiled(spec(source))
    assert [path.exists() for path in (*old, new)] == [False, True, True]


def test_a_folder_of_somebody_else_is_not_used(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(ConfigurationError, match="no folder for compiled layers"):
        compiled(spec(source))


def test_no_room_says_that_the_layer_should_come_compiled(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(opening, "compile_layer", full)
    with pytest.raises(
        ConfigurationError, match=r"no room in .* Compile it beforehand with geoweir"
    ):
        compiled(spec(source))
