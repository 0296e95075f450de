"""Pixels of polygons and values at points, against GDAL, and the kernel against numpy."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from geoweir.core.spec import RasterSpec
from geoweir.spatial.kernel.loaded import has_kernel
from geoweir.spatial.raster.compiling import compile_raster
from geoweir.spatial.raster.opening import load_raster
from geoweir.spatial.raster.raster import Raster
from geoweir.spatial.raster.request import Request
from geoweir.spatial.raster.scankernel import KernelScan
from geoweir.spatial.raster.scannumpy import NumpyScan
from geoweir.spatial.raster.tally import NONE, Stats
from geoweir.spatial.raster.zones import Zones
from support.features import objects
from support.rasters import mapped
from support.samples import sample

SIDE = 24
TRANSFORMS = (
    (1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    (30.0, 0.0, 500_000.0, 0.0, -30.0, 4_000_000.0),
    (0.25, 0.0, -7.0, 0.0, -0.25, 3.0),
    (1 / 1200, 0.0, -84.41, 0.0, -1 / 1200, 36.73),
)
#: What is special about an ordinate: between pixels, on a centre, on a border, near one.
ORDINATES = st.one_of(
    st.floats(-5, SIDE + 5),
    st.integers(-4, 2 * SIDE + 8).map(lambda halves: halves / 2),
    st.builds(
        lambda border, off: border + off,
        st.integers(-2, SIDE + 2),
        st.sampled_from([1e-3, -1e-3, 1e-5, -1e-5, 5e-3, -5e-3, 1e-9]),
    ),
)
NUMBERS = np.random.default_rng(5).integers(0, 9, (SIDE, SIDE)).astype(np.int16)


@st.composite
def polygons(draw: st.DrawFn, *, valid: bool) -> shapely.Geometry:
    """Polygons and multipolygons in pixels, some with holes."""
    ring = st.lists(st.tuples(ORDINATES, ORDINATES), min_size=3, max_size=9)
    parts = [shapely.Polygon(corners) for corners in draw(st.lists(ring, min_size=1, max_size=3))]
    if not valid:
        return shapely.MultiPolygon(parts) if len(parts) > 1 else parts[0]
    mended = shapely.union_all(shapely.make_valid(objects(parts), method="structure"))
    surfaces = [one for one in shapely.get_parts(mended) if one.geom_type == "Polygon"]
    return shapely.MultiPolygon(surfaces)


def on_ground(polygon: shapely.Geometry, transform: tuple[float, ...]) -> shapely.Geometry:
    a, _, c, _, e, f = transform
    return shapely.transform(polygon, lambda xy: xy * [a, e] + [c, f])


def is_older(gdal: str) -> bool:
    """Whether this is a GDAL whose rule for touched pixels is the one that we have."""
    major, minor = (int(part) for part in gdal.split(".")[:2])
    return (major, minor) < (3, 12)


def both(raster: Raster, polygon: shapely.Geometry, request: Request) -> list[Stats]:
    """By each way that there is."""
    zones = Zones.of(objects([polygon]), raster.pixels.grid)
    window = zones.window(0)
    if window is None:
        return [NONE]
    ways: list[Any] = [NumpyScan] + [KernelScan] * has_kernel()
    return [way(raster.pixels, zones, request).stats(0, window) for way in ways]


@given(polygon=polygons(valid=True), transform=st.sampled_from(TRANSFORMS), touched=st.booleans())
@settings(max_examples=400, deadline=None)
def test_the_pixels_are_those_of_gdal(
    polygon: shapely.Geometry, transform: tuple[Any, ...], touched: bool
) -> None:
    rasterio = pytest.importorskip("rasterio")
    features = pytest.importorskip("rasterio.features")
    if touched and not is_older(rasterio.__gdal_version__):
        # GDAL 3.12 takes more of the pixels that a corner on their border merely touches.
        corners = shapely.get_coordinates(polygon)
        assume(bool((np.abs(corners - np.round(corners)) > 1e-6).all()))
    place = on_ground(polygon, transform)
    inside = np.zeros(NUMBERS.shape, dtype=bool)
    if not shapely.is_empty(place):
        inside = features.rasterize(
            [place],
            out_shape=NUMBERS.shape,
            transform=rasterio.Affine(*transform),
            all_touched=touched,
        ).astype(bool)
    values = NUMBERS[inside]
    raster = mapped(NUMBERS, transform=transform)
    for found in both(raster, place, Request(all_touched=touched, majority=True)):
        assert found.pixels == found.count == values.size
        assert found.total == values.sum()
        if values.size:
            assert (found.least, found.greatest) == (values.min(), values.max())
            assert found.majority == np.bincount(values).argmax()


@given(
    polygon=polygons(valid=False),
    transform=st.sampled_from([*TRANSFORMS, (1.0, 0.3, 2.0, -0.2, -1.1, 20.0)]),
    touched=st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_the_kernel_and_numpy_find_the_same_whatever_the_polygon(
    polygon: shapely.Geometry, transform: tuple[Any, ...], touched: bool
) -> None:
    raster = mapped(NUMBERS, transform=transform, nodata=3.0)
    request = Request(all_touched=touched, majority=True)
    answers = both(raster, on_ground(polygon, transform), request)
    assert len({repr(answer) for answer in answers}) == 1
    assert answers[0].count <= answers[0].pixels <= NUMBERS.size


@given(
    places=st.lists(st.tuples(ORDINATES, ORDINATES), min_size=1, max_size=20),
    holes=st.integers(0, 3),
)
@settings(max_examples=200, deadline=None)
def test_bilinear_is_what_it_is_by_hand(places: list[tuple[float, float]], holes: int) -> None:
    numbers = NUMBERS.copy()
    numbers[numbers < holes] = -9
    found = mapped(numbers, nodata=-9.0).values_at(np.array(places), "bilinear")
    for (x, y), value in zip(places, found.tolist(), strict=True):
        expected = by_hand(numbers, x, y)
        assert math.isnan(value) if expected is None else value == pytest.approx(expected)


def by_hand(numbers: np.ndarray[Any, Any], x: float, y: float) -> float | None:
    def at(column: int, row: int) -> int | None:
        inside = 0 <= column < SIDE and 0 <= row < SIDE
        return int(numbers[row, column]) if inside and numbers[row, column] != -9 else None

    if at(math.floor(x), math.floor(y)) is None:
        return None
    total = weights = 0.0
    for column in (math.floor(x - 0.5), math.floor(x - 0.5) + 1):
        for row in (math.floor(y - 0.5), math.floor(y - 0.5) + 1):
            value = at(column, row)
            weight = (1 - abs(column + 0.5 - x)) * (1 - abs(row + 0.5 - y))
            if value is not None:
                total, weights = total + value * weight, weights + weight
    return total / weights


@pytest.mark.samples
@pytest.mark.parametrize("name", ["jacksboro_dem_epsg4326.tif", "RGB.byte.tif"])
def test_nearest_is_rasterio_s_sample(tmp_path: Path, name: str) -> None:
    rasterio = pytest.importorskip("rasterio")
    path = sample(f"raster/{name}")
    raster = compiled(path, tmp_path)
    with rasterio.open(path) as file:
        xy = np.random.default_rng(1).uniform(file.bounds[:2], file.bounds[2:], (3000, 2))
        for band in file.indexes:
            expected = np.array([one[0] for one in file.sample(xy, indexes=band)], dtype=float)
            expected[expected == file.nodata] = np.nan
            np.testing.assert_array_equal(raster.values_at(xy, band=band), expected)


@pytest.mark.samples
@pytest.mark.filterwarnings("ignore:Use `@` matmul")  # in rasterstats
def test_counts_over_real_polygons_are_rasterstats_s(tmp_path: Path) -> None:
    rasterstats = pytest.importorskip("rasterstats")
    stats = ["count", "min", "max", "mean", "sum", "majority"]
    for name, around, radius in (
        ("jacksboro_dem_epsg4326.tif", (-84.27, 36.57), 0.1),
        ("RGB.byte.tif", (215_000.0, 2_710_000.0), 50_000.0),
    ):
        path = sample(f"raster/{name}")
        raster = compiled(path, tmp_path)
        shapes = shores(around, radius)
        for touched in (False, True):
            expected = rasterstats.zonal_stats(
                [shapely.geometry.mapping(one) for one in shapes],
                str(path),
                stats=stats,
                all_touched=touched,
                nodata=raster.band(1).nodata if raster.band(1).nodata is not None else -999,
            )
            request = Request(all_touched=touched, majority=True)
            for ours, theirs in zip(raster.zonal(shapes, request), expected, strict=True):
                assert isinstance(ours, Stats)
                assert ours.count == theirs["count"] > 0
                assert (ours.least, ours.greatest) == (theirs["min"], theirs["max"])
                assert ours.majority == theirs["majority"]
                assert ours.total == theirs["sum"]


def shores(around: tuple[float, float], radius: float) -> np.ndarray[Any, Any]:
    """Real outlines, moved over a raster: countries at 1:110 million, each as wide as radius."""
    path = sample("admin/ne_110m_countries.geojson")
    given = shapely.get_parts(shapely.from_geojson(path.read_text(encoding="utf-8")))
    given = given[shapely.is_valid(given) & ~shapely.is_empty(given)]
    moved = []
    for one in given:
        box = np.array(shapely.bounds(one))
        middle, size = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]).max()
        xy = (shapely.get_coordinates(one) - middle) / size * radius + around
        moved.append(shapely.set_coordinates(one, xy))
    return np.array(moved, dtype=object)


def compiled(path: Path, folder: Path) -> Raster:
    target = folder / f"{path.stem}.gwr"
    compile_raster(path, target)
    return load_raster(RasterSpec(name="r", path=str(target)))
