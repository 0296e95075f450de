"""The nearest segment: against Karney's geodesics to all of them, with and without the kernel."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import pyproj
import pytest
import shapely

from geoweir.errors import ConfigurationError
from geoweir.spatial.file.format import LayerFileError
from geoweir.spatial.file.mapped import MappedFile
from geoweir.spatial.file.writer import FileWriter
from geoweir.spatial.geodetic import Geodetic
from geoweir.spatial.ragged import Ragged
from geoweir.spatial.segments import SegmentIndex, build
from support.features import objects
from support.geodesics import GEOD, nearest_by_brute_force
from support.samples import sample

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_Array = np.ndarray[Any, np.dtype[Any]]
TOLERANCE = 0.001  # metres, as docs/spatial-nearest.md says
ROADS = "lines/helsinki_roads_osm.geojson.gz"
RAILS = "lines/ne_10m_railroads_north_america.geojson.gz"


def read(path: str) -> _Array:
    with gzip.open(sample(path)) as file:
        return objects([shapely.geometry.shape(f["geometry"]) for f in json.load(file)["features"]])


def index_of(geometries: Sequence[object] | _Array, crs: str = "EPSG:4326") -> SegmentIndex:
    ragged = Ragged.from_shapely(objects(list(geometries)))
    return SegmentIndex.of(build(ragged, crs), ragged, crs)


def found(index: SegmentIndex, points: Any, max_distance: float) -> Any:
    """What both ways find, which must be the same."""
    given = np.array(points, dtype=np.float64).reshape(-1, 2)
    with_kernel, without = (
        index.nearest(given, max_distance),
        index.without_kernel(given, max_distance),
    )
    for name in ("vertex", "feature"):
        np.testing.assert_array_equal(with_kernel[name], without[name])
    for name, most in (("lon", 1e-11), ("lat", 1e-11), ("distance", 1e-6), ("measure", 1e-5)):
        np.testing.assert_allclose(with_kernel[name], without[name], rtol=0, atol=most)
    np.testing.assert_allclose(with_kernel["offset"], without["offset"], rtol=1e-6, atol=1e-5)
    return with_kernel


def nearest(geometries: Sequence[object], point: Sequence[float], reach: float = 1000.0) -> Any:
    return found(index_of(geometries), point, reach)[0]


def around(box: _Array, count: int, seed: int) -> _Array:
    return np.random.default_rng(seed).uniform(box[:2], box[2:], (count, 2))


@pytest.mark.samples
@pytest.mark.parametrize(("path", "reach", "count"), [(ROADS, 300.0, 40), (RAILS, 80_000.0, 25)])
def test_distance_and_feature_are_those_of_geodesics_to_every_segment(
    path: str, reach: float, count: int
) -> None:
    geometries = read(path)
    points = around(shapely.total_bounds(geometries), count, 5)
    hits = 0
    for point, row in zip(points, found(index_of(geometries), points, reach), strict=True):
        metres, features = nearest_by_brute_force(geometries, point)
        if metres > reach:
            assert row["vertex"] == -1
            continue
        hits += 1
        assert row["distance"] == pytest.approx(metres, abs=TOLERANCE)
        assert row["feature"] in features
        place = GEOD.inv(point[0], point[1], row["lon"], row["lat"])[2]
        assert place == pytest.approx(row["distance"], abs=TOLERANCE)
    assert hits >= count / 5


@pytest.mark.samples
def test_points_on_vertices_and_on_segments_are_at_distance_nothing() -> None:
    geometries = read(ROADS)
    index = index_of(geometries)
    vertices, owner = shapely.get_coordinates(geometries, return_index=True)
    rows = found(index, vertices[:3000], 10)
    assert rows["distance"].max() < 1e-6
    assert (rows["feature"] <= owner[:3000]).all()  # of those that meet there, the first
    middles = ((vertices[1:] + vertices[:-1]) / 2)[owner[1:] == owner[:-1]][:3000]
    rows = found(index, middles, 10)
    assert rows["distance"].max() < 1e-6
    assert np.abs(rows["offset"]).max() < 1e-3


def test_of_equally_near_ones_the_first_in_the_source_is_the_answer() -> None:
    lines = [f"LINESTRING (0 {y}, 1 {y})" for y in (1, -1, 1)] + ["LINESTRING (0.5 0, 0.5 -3)"]
    assert nearest(lines[:3], (0.5, 0), 200_000)["feature"] == 0
    assert nearest(lines[1:3], (0.5, 0), 200_000)["feature"] == 0
    assert nearest(lines, (0.5, 0), 200_000)["feature"] == 3
    copies = ["LINESTRING (0 1, 1 1)"] * 500
    assert nearest([*copies[:1], "LINESTRING (0 0.9, 1 2)", *copies], (0.9, 1.001))["feature"] == 0


def test_within_a_feature_the_first_of_equally_near_segments_is_the_answer() -> None:
    assert nearest(["LINESTRING (0 0, 0.001 0, 0.001 0.001)"], (0.001, 0))["vertex"] == 0
    assert nearest(["LINESTRING (0 0, 0.002 0, 0.002 0.002, 0 0.002, 0 0)"], (0.001, 0.001))[
        "vertex"
    ] in {0, 2}


@pytest.mark.parametrize(
    "point",
    [(np.nan, 0), (0, np.nan), (np.inf, 0), (0, -np.inf), (0, 90.1), (0, 1), (1e300, 1), (90, 0)],
)
def test_what_is_nowhere_or_too_far_has_no_nearest(point: tuple[float, float]) -> None:
    row = nearest(["LINESTRING (0 0, 0.01 0)"], point)
    assert (row["vertex"], row["feature"]) == (-1, -1)
    assert np.isnan([row[name] for name in ("lon", "lat", "distance", "measure", "offset")]).all()


def test_max_distance_is_the_last_that_is_found() -> None:
    index = index_of(["POINT (0 0)"])
    metres = float(found(index, (0, 0.001), 1000)["distance"][0])
    assert found(index, (0, 0.001), metres + 1e-6)["vertex"][0] == 0
    assert found(index, (0, 0.001), metres - 1e-6)["vertex"][0] == -1


@pytest.mark.parametrize("lon", [-179.999, 180.001, 540.001])
def test_across_the_antimeridian(lon: float) -> None:
    row = nearest(["LINESTRING (179 10, 179.999 10)"], (lon, 10))
    assert (row["lon"], row["lat"]) == (179.999, 10)
    assert row["distance"] == pytest.approx(GEOD.inv(-179.999, 10, 179.999, 10)[2], abs=1e-6)


def test_a_layer_beyond_180_is_found_from_the_other_side() -> None:
    row = nearest(["LINESTRING (180.5 -17, 180.6 -17)"], (-179.5, -17))
    assert row["distance"] < 1e-6
    assert row["lon"] == pytest.approx(180.5)


@pytest.mark.parametrize("sign", [1, -1])
def test_across_a_pole(sign: int) -> None:
    line = [f"LINESTRING (0 {89.99 * sign}, 1 {89.99 * sign})"]
    row = nearest(line, (180, 89.99 * sign), 5000)
    assert row["distance"] == pytest.approx(
        GEOD.inv(180, 89.99 * sign, 0.5, 89.99 * sign)[2], abs=0.5
    )
    best, _ = nearest_by_brute_force(objects(line), np.array([180, 89.99 * sign]))
    assert row["distance"] == pytest.approx(best, abs=TOLERANCE)
    assert nearest(["LINESTRING (-180 89.9, 180 89.9)"], (7, 90), 20_000)["distance"] == (
        pytest.approx(GEOD.inv(0, 90, 0, 89.9)[2], abs=TOLERANCE)
    )


@pytest.mark.parametrize("lat", [0.0, 45.0, -60.0, 85.0])
@pytest.mark.parametrize("reach", [100.0, 20_000.0, 99_000.0, 900_000.0])
def test_distances_are_those_of_geodesics(lat: float, reach: float) -> None:
    rng = np.random.default_rng(3)
    turns, metres = rng.uniform(0, 360, 300), rng.uniform(0, reach * 0.999, 300)
    lon, points_lat, _ = GEOD.fwd(np.zeros(300), np.full(300, lat), turns, metres)
    points = np.column_stack([lon, points_lat])
    rows = found(index_of([f"POINT (0 {lat})"]), points, reach)
    np.testing.assert_allclose(rows["distance"], metres, rtol=0, atol=1e-4)


def test_the_measure_follows_the_parts_and_leaves_out_the_gaps() -> None:
    lines = ["MULTILINESTRING ((10 50, 10.01 50, 10.01 50.01), (10.02 50.02, 10.03 50.02))"]
    first = GEOD.line_length([10, 10.01], [50, 50])
    both = GEOD.line_length([10, 10.01, 10.01], [50, 50, 50.01])
    half = GEOD.line_length([10.02, 10.025], [50.02, 50.02])
    rows = found(
        index_of(lines),
        [(10, 50), (10.01, 50), (10.01, 50.02), (10.02, 50.02), (10.0101, 49.9999)],
        3000,
    )
    expected = [0, first, both, both, first]
    assert rows["measure"] == pytest.approx(expected, abs=TOLERANCE)
    middle = found(index_of(lines), (10.025, 50.0201), 3000)[0]
    assert middle["measure"] == pytest.approx(both + half, abs=TOLERANCE)


def test_each_feature_s_measure_begins_at_its_own_start() -> None:
    lines = ["LINESTRING (0 0, 1 0)", None, "LINESTRING (5 0, 6 0, 7 0)"]
    row = nearest(lines, (6.5, 0.0001))
    assert row["feature"] == 2
    assert row["measure"] == pytest.approx(GEOD.inv(5, 0, 6.5, 0)[2], abs=0.01)


@pytest.mark.parametrize(
    ("line", "point", "is_left"),
    [
        ("LINESTRING (0 0, 0.01 0)", (0.005, 0.001), True),
        ("LINESTRING (0 0, 0.01 0)", (0.005, -0.001), False),
        ("LINESTRING (0.01 0, 0 0)", (0.005, 0.001), False),
        # beyond a corner so sharp that the second segment alone has the point on its other side
        ("LINESTRING (0 0, 0.01 0, 0 0.002)", (0.0105, -0.00001), False),
        ("LINESTRING (0 0, 0.01 0, 0 0.002)", (0.0105, 0.0004), False),
        ("LINESTRING (0 0, 0.01 0, 0 0.002)", (0.008, 0.0001), True),
        # the corner where a ring closes
        ("LINESTRING (0 0, 0.01 0.001, 0.01 -0.001, 0 0)", (-0.001, 0.00001), True),
        ("LINESTRING (0 0, 0.01 0.001, 0.01 -0.001, 0 0)", (-0.001, -0.00001), True),
        ("LINESTRING (0 0, 0.01 0.001, 0.01 -0.001, 0 0)", (0.005, 0), False),
        # a repeated vertex has no direction
        ("LINESTRING (0 0, 0.01 0, 0.01 0, 0.01 0.01)", (0.011, -0.001), False),
        # beyond an end the last segment decides
        ("LINESTRING (0 0, 0.01 0)", (0.012, 0.001), True),
    ],
)
def test_the_side_is_left_or_right_of_the_line(
    line: str, point: tuple[float, float], *, is_left: bool
) -> None:
    offset = nearest([line], point)["offset"]
    assert abs(offset) > 1e-4
    assert (offset > 0) == is_left


def test_a_point_has_no_side() -> None:
    assert np.isnan(nearest(["POINT (0 0)"], (0.001, 0))["offset"])
    assert np.isnan(nearest(["LINESTRING (0 0, 0 0)"], (0.001, 0))["offset"])


@pytest.mark.parametrize(
    ("crs", "lon", "lat"),
    [("EPSG:25832", 9.0, 48.0), ("EPSG:3857", 25.0, 65.0), ("EPSG:27572", 2.3, 48.8)],
)
def test_a_projected_layer_s_segments_are_straight_in_its_crs(
    crs: str, lon: float, lat: float
) -> None:
    base = Geodetic.under(crs)
    to_layer = pyproj.Transformer.from_crs(base.name, crs, always_xy=True)
    rng = np.random.default_rng(8)
    x, y = to_layer.transform(lon / base.unit, lat / base.unit)
    lines = [
        shapely.LineString(np.array([x, y]) + rng.uniform(-20_000, 20_000, (2, 2)))
        for _ in range(6)
    ]
    index = index_of(lines, crs)
    points = np.array([x, y]) + rng.uniform(-25_000, 25_000, (40, 2))
    degrees = index.geodetic.degrees(points, crs)
    rows = found(index, degrees, 50_000)
    shares = np.linspace(0, 1, 200_001)[:, None]
    dense = [
        index.geodetic.degrees(np.array(line.coords[0]) * (1 - shares)
                               + np.array(line.coords[1]) * shares, crs)
        for line in lines
    ]  # fmt: skip
    for point, row in zip(degrees[:5], rows, strict=False):
        metres = [index.geodetic.lengths(np.tile(point, (len(d), 1)), d).min() for d in dense]
        assert row["distance"] == pytest.approx(min(metres), abs=TOLERANCE)
        assert row["feature"] == int(np.argmin(metres))
    places = index.geodetic.points(np.column_stack([rows["lon"], rows["lat"]]), crs)
    beside = [
        shapely.distance(lines[feature], shapely.Point(place))
        for feature, place in zip(rows["feature"], places, strict=True)
    ]
    assert max(beside) < TOLERANCE * 3  # units of the map: Mercator's metres are longer


def test_grads_and_other_meridians_are_no_obstacle() -> None:
    index = index_of(["LINESTRING (0 50, 0.1 50)"], "EPSG:4807")  # grads from Paris
    point = index.geodetic.degrees(np.array([[0.05, 50.01]]), "EPSG:4807")
    np.testing.assert_allclose(point, [[0.045, 45.009]])
    row = found(index, point, 5000)[0]
    assert row["distance"] == pytest.approx(index.geodetic.geod.inv(0, 45, 0, 45.009)[2], abs=0.01)


def test_a_crs_without_longitudes_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="EPSG:5703 has no longitudes and latitudes"):
        index_of(["POINT (0 0)"], "EPSG:5703")


def test_polygons_are_their_sides_and_vertices_that_are_not_finite_are_left_out() -> None:
    square = "POLYGON ((0 0, 1 0, 1 1, 0 1, 0 0), (0.4 0.4, 0.6 0.4, 0.6 0.6, 0.4 0.4))"
    row = nearest([square], (0.5, 0.39), 5000)
    assert (row["lon"], row["lat"]) == pytest.approx((0.5, 0.4), abs=1e-6)
    with np.errstate(invalid="ignore"):
        broken = shapely.linestrings([[0, 0], [np.nan, 1], [1, 1]])
    assert nearest([broken, "POINT (0 0.001)"], (0, 0))["feature"] == 1


@pytest.mark.parametrize("geometries", [[], [None], ["POLYGON EMPTY"]])
def test_a_layer_without_segments_is_near_to_nothing(geometries: list[object]) -> None:
    assert found(index_of(geometries), (0, 0), 1000)["vertex"].tolist() == [-1]


def write(
    path: Path, geometries: _Array, order: Sequence[int], replaced: dict[str, _Array] | None = None
) -> MappedFile:
    ragged = Ragged.from_shapely(geometries)
    sections = build(ragged, "EPSG:4326") | {"source": np.array(order, dtype=np.uint32)}
    sections |= replaced or {}
    with FileWriter(path, "layer") as file:
        file.add("meta", np.frombuffer(orjson.dumps({}), dtype=np.uint8))
        for name, array in sections.items():
            file.add(name, array)
        file.finish()
    return MappedFile.open(path)


def test_in_a_file_the_order_of_the_source_decides(tmp_path: Path) -> None:
    lines = objects(["LINESTRING (0 0, 0.01 0)", "LINESTRING (0 0, 0 0.01)"])
    for source, expected in (([0, 1], 0), ([1, 0], 1)):
        file = write(tmp_path / "a.gwl", lines, source)
        index = SegmentIndex.open(file, Ragged.from_shapely(lines), "EPSG:4326")
        assert found(index, (0, 0), 10)["feature"].tolist() == [expected]


def test_sections_that_do_not_fit_each_other_are_refused(tmp_path: Path) -> None:
    lines = objects(["LINESTRING (0 0, 0.01 0)"])
    ragged = Ragged.from_shapely(lines)
    wrong: dict[str, _Array] = {
        "segments.measures": np.zeros(1),
        "segments.blocks": np.zeros((2, 64), dtype=np.float32),
        "source": np.zeros(2, dtype=np.uint32),
        "segments.runs": np.zeros((1, 4), dtype=np.int32),
    }
    for name, array in wrong.items():
        file = write(tmp_path / "a.gwl", lines, [0], {name: array})
        with pytest.raises(LayerFileError, match="compile it again"):
            SegmentIndex.open(file, ragged, "EPSG:4326")


def test_nothing_that_stands_in_the_arrays_is_trusted() -> None:
    rng = np.random.default_rng(11)
    lines = [shapely.LineString(rng.uniform(0, 1, (30, 2))) for _ in range(40)]
    ragged = Ragged.from_shapely(objects(list(lines)))
    sections = build(ragged, "EPSG:4326")
    points = rng.uniform(-1, 2, (20, 2))
    whole = SegmentIndex.of(sections, ragged, "EPSG:4326").nearest(points, 1e6)
    differing = 0
    for _ in range(150):
        damaged = {name: array.copy() for name, array in sections.items()}
        arrays = [*damaged.values(), ragged.rings.copy(), ragged.coordinates.copy()]
        for array in arrays:
            raw = array.reshape(-1).view(np.uint8)
            places = rng.integers(0, len(raw), 8)
            raw[places] = rng.integers(0, 256, len(places))
        torn = Ragged(ragged.dimensions, ragged.features, ragged.parts, arrays[-2], arrays[-1])
        index = SegmentIndex.of(damaged, torn, "EPSG:4326")
        with np.errstate(all="ignore"):
            for rows in (index.nearest(points, 1e6), index.without_kernel(points, 1e6)):
                assert (rows["feature"] < len(lines)).all()
                differing += bool((rows["vertex"] != whole["vertex"]).any())
    assert differing
