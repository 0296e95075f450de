"""GeoTIFFs: read in parts as they are, compiled to the same, or refused in one line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from geoweir.core.spec import RasterSpec
from geoweir.errors import ConfigurationError
from geoweir.spatial.raster.compiling import compile_raster, compiled_bytes
from geoweir.spatial.raster.opening import load_raster
from geoweir.spatial.raster.pixels import Window
from geoweir.spatial.raster.raster import Raster
from geoweir.spatial.raster.request import Request
from geoweir.spatial.raster.tiff import TiffPixels
from support.features import objects
from support.samples import sample

rasterio = pytest.importorskip("rasterio")
NORTH_UP = (0.25, 0, 10, 0, -0.25, 50)
RNG = np.random.default_rng(3)
NUMBERS = RNG.integers(-9, 1000, (300, 600)).astype(np.int16)


def tiff(path: Path, *bands: Any, crs: str | None = "EPSG:4326", **given: Any) -> Path:
    scale, mask = given.pop("scale", None), given.pop("mask", None)
    profile = {
        "driver": "GTiff",
        "height": bands[0].shape[0],
        "width": bands[0].shape[1],
        "count": len(bands),
        "dtype": bands[0].dtype,
        "crs": crs,
        "transform": rasterio.Affine(*NORTH_UP),
    }
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK="YES"),
        rasterio.open(path, "w", **(profile | given)) as file,
    ):
        for number, band in enumerate(bands, 1):
            file.write(band, number)
        if scale is not None:
            file.scales, file.offsets = [scale[0]] * len(bands), [scale[1]] * len(bands)
        if mask is not None:
            file.write_mask(mask)
    return path


def both(path: Path, cache: int = 1_000_000) -> tuple[Raster, Raster]:
    """Read in parts, and compiled."""
    compiled = path.with_suffix(".gwr")
    compile_raster(path, compiled)
    return (
        load_raster(RasterSpec(name="dem", path=str(path), in_parts=True, cache=cache)),
        load_raster(RasterSpec(name="dem", path=str(compiled))),
    )


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8"])
def test_every_type_is_read_and_compiled_as_it_is(tmp_path: Path, dtype: str) -> None:
    numbers = (NUMBERS % 100).astype(dtype)
    for raster in both(tiff(tmp_path / "a.tif", numbers, nodata=7)):
        window = Window(200, 250, 300, 50)
        assert raster.band(1).nodata == 7
        assert raster.pixels.window(0, window).stored.tolist() == numbers[250:, 200:500].tolist()


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"nodata": 5},
        {"scale": (0.1, -3.0)},
        {"tiled": True, "blockxsize": 128, "blockysize": 64, "compress": "deflate"},
        {"mask": RNG.random(NUMBERS.shape) < 0.7},
    ],
)
def test_both_forms_give_the_same(tmp_path: Path, way: str, given: dict[str, Any]) -> None:
    parts, compiled = both(tiff(tmp_path / "a.tif", NUMBERS, **given))
    assert parts.pixels.bands == compiled.pixels.bands, way
    xy = RNG.uniform([9, -26], [161, 51], (500, 2))
    for method in ("nearest", "bilinear"):
        a, b = (one.values_at(xy, method) for one in (parts, compiled))
        np.testing.assert_array_equal(a, b)
        assert 0 < np.isnan(a).sum() < 400
    disks = objects(
        [shapely.Point(c).buffer(r) for c, r in zip(xy[:20], range(1, 21), strict=True)]
    )
    for touched in (False, True):
        request = Request(all_touched=touched, majority=True)
        assert repr(parts.zonal(disks, request)) == repr(compiled.zonal(disks, request))


def test_a_mask_in_the_file_is_heeded(tmp_path: Path) -> None:
    mask = np.ones(NUMBERS.shape, dtype=bool)
    mask[0, 0] = False
    for raster in both(tiff(tmp_path / "a.tif", NUMBERS, mask=mask)):
        found = raster.values_at(np.array([[10.1, 49.9], [10.3, 49.9]]))
        assert np.isnan(found).tolist() == [True, False]


def test_nodata_that_text_rounds_is_the_number_that_the_band_holds(tmp_path: Path) -> None:
    numbers = np.full((4, 4), -3.4e38, dtype=np.float32)
    numbers[0, 0] = 1
    for raster in both(tiff(tmp_path / "a.tif", numbers, nodata=-3.4e38)):
        (found,) = raster.zonal(objects([shapely.box(10, 49, 11, 50)]), Request())
        assert (found.pixels, found.count) == (16, 1)  # type: ignore[union-attr]


def test_what_is_kept_stays_under_its_bound(tmp_path: Path) -> None:
    bound = 256 * 256 * 2 * 2
    raster, _ = both(tiff(tmp_path / "a.tif", NUMBERS), cache=bound)
    assert isinstance(raster.pixels, TiffPixels)
    xy = RNG.uniform([10, -25], [160, 50], (300, 2))
    for _ in range(3):
        expected = NUMBERS[((50 - xy[:, 1]) * 4).astype(int), ((xy[:, 0] - 10) * 4).astype(int)]
        assert raster.values_at(xy).tolist() == expected.tolist()
        assert 0 < raster.pixels.held <= bound


def test_a_part_that_is_kept_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raster, _ = both(tiff(tmp_path / "a.tif", NUMBERS))
    raster.values_at(np.array([[10.1, 49.9]]))
    monkeypatch.setattr(TiffPixels, "_read", None)
    assert raster.values_at(np.array([[10.3, 49.9]])).tolist() == [NUMBERS[0, 1]]


def test_files_beside_it_are_not_opened(tmp_path: Path) -> None:
    path = tiff(tmp_path / "a.tif", NUMBERS)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK="NO"), rasterio.open(path, "r+") as file:
        file.write_mask(NUMBERS > 5)
    assert (tmp_path / "a.tif.msk").exists()
    (tmp_path / "a.tif.aux.xml").write_text(
        "<PAMDataset><PAMRasterBand band='1'><NoDataValue>7</NoDataValue></PAMRasterBand>"
        "</PAMDataset>"
    )
    for raster in both(path):
        assert raster.band(1).nodata is None
        assert not raster.band(1).is_masked


def test_a_file_that_is_cut_off_is_refused_or_its_loss_is_named(tmp_path: Path) -> None:
    path = tiff(tmp_path / "a.tif", NUMBERS)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ConfigurationError) as caught:
        compile_raster(path, tmp_path / "a.gwr")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "a.gwr").exists()


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "complex": ({"dtype": "complex64"}, "its band 1 holds complex64. Convert it to 32 bits"),
    "long": ({"dtype": "int64"}, "its band 1 holds int64. Convert it"),
    "nowhere": ({"crs": None}, "its CRS is not named in it. Give crs:"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_of_no_use_is_refused_in_one_line(tmp_path: Path, case: str) -> None:
    given, message = REFUSED[case]
    numbers = NUMBERS.astype(given.get("dtype", "int16"))
    path = tiff(tmp_path / "a.tif", numbers, crs=given.get("crs", "EPSG:4326"))
    with pytest.raises(ConfigurationError, match=f"^raster file .*a.tif: {message}"):
        load_raster(RasterSpec(name="dem", path=str(path), in_parts=True))
    with pytest.raises(ConfigurationError, match=f"^{message}"):
        compile_raster(path, tmp_path / "a.gwr")


FOREIGN = {
    "nothing": b"",
    "cut": b"II*\0",
    "vrt": b'<VRTDataset rasterXSize="1" rasterYSize="1">'
    b'<VRTRasterBand dataType="Byte" band="1"/></VRTDataset>',
    "ascii": b"ncols 2\nnrows 2\nxllcorner 0\nyllcorner 0\ncellsize 1\n1 2\n3 4\n",
}


@pytest.mark.parametrize("case", FOREIGN)
def test_no_other_driver_opens_anything(tmp_path: Path, case: str) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(FOREIGN[case])
    with pytest.raises(ConfigurationError, match="it is no GeoTIFF that can be read") as caught:
        compile_raster(path, tmp_path / "a.gwr", "EPSG:4326")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["/vsicurl/http://127.0.0.1:1/a.tif", "GTIFF_DIR:1:a.tif", "none"])
def test_a_name_that_gdal_would_take_for_an_address_is_no_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="there is no such file"):
        compile_raster(name, tmp_path / "a.gwr")


def test_without_rasterio_it_is_said_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tiff(tmp_path / "a.tif", NUMBERS)
    monkeypatch.setitem(sys.modules, "rasterio", None)
    for in_parts in (True, False):
        with pytest.raises(ConfigurationError, match=r"Install geoweir\[rasters\]"):
            load_raster(RasterSpec(name="dem", path=str(path), in_parts=in_parts))


def test_the_size_of_the_compiled_form_is_known_before(tmp_path: Path) -> None:
    path = tiff(tmp_path / "a.tif", NUMBERS, mask=NUMBERS > 5)
    compile_raster(path, tmp_path / "a.gwr")
    assert 0 < (tmp_path / "a.gwr").stat().st_size - compiled_bytes(path) < 5 * 4096


def test_progress_is_told_from_nothing_to_nearly_all(tmp_path: Path) -> None:
    told: list[float] = []
    compile_raster(
        tiff(tmp_path / "a.tif", NUMBERS, NUMBERS), tmp_path / "a.gwr", None, told.append
    )
    assert told == sorted(told)
    assert told[0] == 0
    assert 0.8 < told[-1] < 1


@pytest.mark.samples
def test_a_crs_without_a_code_is_given_by_the_configuration(tmp_path: Path) -> None:
    path = sample("raster/rgb-byte-tenth.tif")
    with pytest.raises(ConfigurationError, match=r"its CRS is not one with a code\. Give crs:"):
        compile_raster(path, tmp_path / "a.gwr")
    compile_raster(path, tmp_path / "a.gwr", "EPSG:32618")
    assert load_raster(RasterSpec(name="r", path=str(tmp_path / "a.gwr"))).crs == "EPSG:32618"
