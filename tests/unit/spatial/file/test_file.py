"""The container of layers and rasters: what is written is read, what is damaged is refused."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from geoweir.spatial.file.format import PAGE, LayerFileError, read_header, verify
from geoweir.spatial.file.mapped import MappedFile
from geoweir.spatial.file.writer import FileWriter

POINTS = np.arange(6, dtype=np.float64).reshape(3, 2)


def write(path: Path, names: np.ndarray | None = None) -> str:
    with FileWriter(path, "layer") as file:
        file.add("meta", np.frombuffer(b'{"crs":"EPSG:4326"}', dtype=np.uint8))
        file.add("points", POINTS)
        with file.section("ids", "<u4") as section:
            section.write(np.array([1, 2], dtype=np.uint32))
            section.write(np.array([3], dtype=np.int64))
        file.add("empty", np.array([], dtype=np.int32))
        if names is not None:
            file.add("names", names)
        return file.finish()


def test_what_was_written_is_read(tmp_path: Path) -> None:
    version = write(tmp_path / "a.gwl")
    file = MappedFile.open(tmp_path / "a.gwl")
    assert file.header.version == version
    assert file.meta == {"crs": "EPSG:4326"}
    assert file.array("points", "<f8", 2).tolist() == POINTS.tolist()
    assert file.array("ids", "<u4").tolist() == [1, 2, 3]
    assert file.array("empty", "<i4").tolist() == []
    assert all(one.offset % PAGE == 0 for one in file.header.sections.values())
    with pytest.raises(ValueError, match="read-only"):
        file.array("points", "<f8", 2)[0, 0] = 1


def test_equal_content_has_an_equal_version_and_other_content_another(tmp_path: Path) -> None:
    one, same = write(tmp_path / "a.gwl"), write(tmp_path / "b.gwl")
    other = write(tmp_path / "c.gwl", np.array([1], dtype=np.uint8))
    assert one == same != other


def test_a_section_of_another_form_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.gwl")
    file = MappedFile.open(tmp_path / "a.gwl")
    for name, dtype, columns in (("none", "<f8", 1), ("points", "<f8", 1), ("points", "<f4", 2)):
        with pytest.raises(LayerFileError, match="has no section"):
            file.array(name, dtype, columns)


def test_every_flipped_bit_of_the_first_page_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.gwl"
    write(path)
    whole = path.read_bytes()
    for place in range(PAGE):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        with pytest.raises(LayerFileError):
            MappedFile.open(path)


@pytest.mark.parametrize("size", [0, 1, 8, 100, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE])
def test_a_file_that_was_cut_off_is_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.gwl"
    write(path)
    os.truncate(path, size)
    with pytest.raises(LayerFileError):
        MappedFile.open(path)


def test_verify_names_the_section_that_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.gwl"
    write(path)
    with path.open("r+b") as file:
        header = read_header(file.fileno())
        assert verify(file.fileno(), header) is None
        file.seek(header.sections["points"].offset + 5)
        file.write(b"\xff")
        file.flush()
        assert verify(file.fileno(), header) == "points"


def test_what_is_left_unfinished_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.gwl"
    version = write(path)
    with pytest.raises(RuntimeError), FileWriter(path, "layer") as file:
        file.add("points", POINTS)
        raise RuntimeError
    assert MappedFile.open(path).header.version == version
    assert [one.name for one in tmp_path.iterdir()] == ["a.gwl"]


def test_a_file_can_be_written_into_memory() -> None:
    descriptor = os.memfd_create("layer")
    with FileWriter(descriptor, "layer") as file:
        file.add("meta", np.frombuffer(b"{}", dtype=np.uint8))
        version = file.finish()
    assert MappedFile(descriptor).header.version == version
    os.close(descriptor)
