"""The compiled form: what is written is read, and what makes no sense is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import shapely

from geoweir.core.spec import RasterSpec
from geoweir.errors import ConfigurationError
from geoweir.spatial.file.format import LayerFileError
from geoweir.spatial.file.mapped import MappedFile
from geoweir.spatial.file.writer import FileWriter
from geoweir.spatial.raster.grid import Grid
from geoweir.spatial.raster.opening import load_raster
from geoweir.spatial.raster.pixels import Window
from geoweir.spatial.raster.raster import Raster
from geoweir.spatial.raster.request import Request
from support.features import objects
from support.rasters import NORTH_UP, mapped, write

NUMBERS = np.arange(70 * 130, dtype=np.int16).reshape(70, 130)
TILES = 2 * 3
META: dict[str, Any] = {
    "crs": "EPSG:4326",
    "width": 130,
    "height": 70,
    "transform": [1, 0, 0, 0, 1, 0],
    "tile": 64,
    "bands": [{"dtype": "<i2", "nodata": "-1", "scale": 1, "offset": 0, "masked": False}],
}
BAND: dict[str, Any] = META["bands"][0]


def open_lie(path: Path, meta: dict[str, Any], tiles: int = TILES, kind: str = "raster") -> Raster:
    with FileWriter(path, kind) as file:
        file.add("meta", np.frombuffer(orjson.dumps(meta), dtype=np.uint8))
        file.add("band1", np.zeros((tiles, 64 * 64), dtype=np.int16))
        file.finish()
    return Raster.mapped("r", MappedFile.open(path))


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.gwr"
    version = write(path, NUMBERS, transform=NORTH_UP, nodata=-1.0, scale=0.5, offset=3.0)
    raster = load_raster(RasterSpec(name="dem", path=str(path)))
    assert (raster.name, raster.crs, raster.version) == ("dem", "EPSG:4326", version)
    assert raster.pixels.grid == Grid(130, 70, NORTH_UP)
    band = raster.band(1)
    assert (band.dtype, band.nodata, band.scale, band.offset) == ("<i2", -1, 0.5, 3)
    for window in (Window(0, 0, 130, 70), Window(60, 63, 10, 2), Window(129, 69, 1, 1)):
        rows = slice(window.top, window.top + window.height)
        expected = NUMBERS[rows, window.left : window.left + window.width]
        assert raster.pixels.window(0, window).stored.tolist() == expected.tolist()
    assert raster.described() == "130 x 70 pixels, 1 band, EPSG:4326, mapped"


def test_equal_content_has_an_equal_version_and_other_content_another(tmp_path: Path) -> None:
    same = [write(tmp_path / name, NUMBERS) for name in ("a.gwr", "b.gwr")]
    assert same[0] == same[1] != write(tmp_path / "c.gwr", NUMBERS + 1)


def test_a_crs_of_the_configuration_goes_before_the_file_s(tmp_path: Path) -> None:
    write(tmp_path / "a.gwr", NUMBERS)
    spec = RasterSpec(name="dem", path=str(tmp_path / "a.gwr"), crs="EPSG:3857")
    assert load_raster(spec).crs == "EPSG:3857"


def test_the_description_that_the_lies_are_made_of_is_sound(tmp_path: Path) -> None:
    assert open_lie(tmp_path / "a.gwr", META).pixels.grid.width == 130


@pytest.mark.parametrize(
    "lie",
    [
        {"width": 0},
        {"width": -5},
        {"width": 1.5},
        {"width": True},
        {"width": 2**40},
        {"height": None},
        {"width": 257},
        {"transform": [1, 0, 0, 0, 1]},
        {"transform": [1, 0, 0, 2, 0, 0]},
        {"transform": [0, 0, 0, 0, 0, 0]},
        {"transform": [1, 0, 0, 0, "1", 0]},
        {"transform": [1e-300, 0, 0, 0, 1e-300, 0]},
        {"tile": 1},
        {"tile": None},
        {"bands": []},
        {"bands": {}},
        {"bands": [7]},
        {"bands": [BAND, BAND]},
        {"bands": [BAND | {"dtype": "<f8"}]},
        {"bands": [BAND | {"dtype": "<i8"}]},
        {"bands": [BAND | {"dtype": ["<i2"]}]},
        {"bands": [BAND | {"nodata": "many"}]},
        {"bands": [BAND | {"nodata": [1]}]},
        {"bands": [BAND | {"scale": "nan"}]},
        {"bands": [BAND | {"offset": {}}]},
        {"bands": [BAND | {"masked": True}]},
        {"crs": None},
        {"crs": "EPSG:0"},
        {"crs": "+proj=longlat"},
    ],
)
def test_a_description_that_lies_is_refused(tmp_path: Path, lie: dict[str, Any]) -> None:
    with pytest.raises(LayerFileError):
        open_lie(tmp_path / "a.gwr", META | lie)


def test_another_number_of_tiles_is_refused(tmp_path: Path) -> None:
    for tiles in (TILES - 1, TILES + 1, 0):
        with pytest.raises(LayerFileError, match=r"band1 has .* should have 6"):
            open_lie(tmp_path / "a.gwr", META, tiles)


def test_a_layer_is_no_raster(tmp_path: Path) -> None:
    with pytest.raises(LayerFileError, match="holds no raster"):
        open_lie(tmp_path / "a.gwr", META, kind="layer")


def test_a_file_that_cannot_be_used_is_one_line_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "a.gwr"
    spec = RasterSpec(name="dem", path=str(path))
    with pytest.raises(
        ConfigurationError, match=r"^raster file .*a.gwr: it can't be read .No such file"
    ):
        load_raster(spec)
    path.write_bytes(b"nothing")
    with pytest.raises(ConfigurationError, match=r"^raster file .*a.gwr: it is no file that"):
        load_raster(spec)


def test_damage_in_a_section_gives_wrong_numbers_and_no_crash(tmp_path: Path, way: str) -> None:
    path = tmp_path / "a.gwr"
    write(path, NUMBERS.astype(np.float64), nodata=-1.0)
    whole = bytearray(path.read_bytes())
    rng = np.random.default_rng(2)
    end = len(whole) - 8192
    for place in rng.integers(8192, end, 5000).tolist():
        whole[place] = rng.integers(256)
    path.write_bytes(whole)
    raster = Raster.mapped("r", MappedFile.open(path))
    (found,) = raster.zonal(objects([shapely.box(0, 0, 130, 70)]), Request(majority=True))
    assert found.pixels == 130 * 70, way  # type: ignore[union-attr]


def test_thirty_one_bands_are_too_many() -> None:
    with pytest.raises(ConfigurationError, match="it has 31 bands"):
        mapped(*[NUMBERS] * 31)


def test_a_raster_in_an_unknown_crs_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not known to PROJ"):
        write(tmp_path / "a.gwr", NUMBERS, crs="EPSG:0")
    assert list(tmp_path.iterdir()) == []
