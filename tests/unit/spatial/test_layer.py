from __future__ import annotations

import csv
import gzip
import subprocess
import sys
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import shapely

from geoweir.core.spec import LayerSpec
from geoweir.spatial.layer import Layer, Match, Predicate, TooComplexError
from support.features import layer, objects
from support.samples import sample

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

Geometries = np.ndarray[Any, np.dtype[np.object_]]
PREDICATES: list[Predicate] = ["within", "intersects"]


@pytest.fixture(scope="module")
def counties() -> Layer:
    path = sample("admin/us_counties_10m.geojson.gz")
    return Layer.load(LayerSpec(name="counties", path=str(path)))


def plain(zones: Layer) -> Geometries:
    """Unprepared copies of a layer's geometries in the order of the source."""
    prepared = zones.geometries(np.argsort(zones.source))
    return objects([None if g is None else shapely.from_wkb(g.wkb) for g in prepared])


def brute(given: Geometries, zones: Layer, predicate: Predicate) -> list[tuple[int, int]]:
    """The plain answer: each feature that GEOS says so, no index, no preparation."""
    geometries = plain(zones)
    test = shapely.within if predicate == "within" else shapely.intersects
    return [
        (mine, int(theirs))
        for mine, geometry in enumerate(given)
        for theirs in np.flatnonzero(test(geometry, geometries))
    ]


def joined(zones: Layer, given: Geometries, by: Predicate, match: Match) -> list[tuple[int, int]]:
    """Pairs of (geometry, number of the layer's feature in its source)."""
    mine, theirs = zones.join(given, by, match)
    return list(zip(mine.tolist(), zones.source[theirs].tolist(), strict=True))


def fixes(count: int) -> npt.NDArray[np.float64]:
    with gzip.open(sample("tracks/ais_us_2022-01-03.csv.gz"), "rt") as lines:
        rows = list(islice(csv.DictReader(lines), count))
    names = {name.lower(): name for name in rows[0]}
    x = names.get("lon") or names["longitude"]
    y = names.get("lat") or names["latitude"]
    return np.array([[float(row[x]), float(row[y])] for row in rows])


@pytest.mark.samples
@pytest.mark.parametrize("predicate", PREDICATES)
def test_the_ais_day_joins_the_counties_as_plain_shapely_does(
    counties: Layer, predicate: Predicate
) -> None:
    given = objects([shapely.Point(fix) for fix in fixes(2000)])
    expected = brute(given, counties, predicate)
    assert len(expected) > 500
    assert joined(counties, given, predicate, "all") == expected


@pytest.mark.samples
@pytest.mark.parametrize("predicate", PREDICATES)
def test_points_on_and_one_ulp_off_county_edges_are_as_plain_shapely_has_them(
    counties: Layer, predicate: Predicate
) -> None:
    rng = np.random.default_rng(7)
    polygons = counties.geometries(rng.choice(len(counties), 12, replace=False))
    vertices = np.vstack([shapely.get_coordinates(polygon)[:8] for polygon in polygons])
    middles = (vertices[1:] + vertices[:-1]) / 2
    exact = np.vstack([vertices, middles])
    near = [np.nextafter(exact, exact + side) for side in ([1, 0], [-1, 0], [0, 1], [0, -1])]
    given = objects([shapely.Point(spot) for spot in np.vstack([exact, *near])])
    assert joined(counties, given, predicate, "all") == brute(given, counties, predicate)


@pytest.mark.samples
@pytest.mark.parametrize("predicate", PREDICATES)
def test_lines_and_polygons_join_the_counties_as_plain_shapely_does(
    counties: Layer, predicate: Predicate
) -> None:
    points = objects([shapely.Point(fix) for fix in fixes(60)])
    lines = shapely.linestrings(fixes(120).reshape(-1, 4, 2)[:10])
    some = counties.geometries(np.arange(100, 110))
    given = np.concatenate(
        [
            shapely.buffer(points[:20], 0.05),
            lines,
            objects([shapely.MultiPoint(points.tolist())]),
            some,
        ]
    )
    assert joined(counties, given, predicate, "all") == brute(given, counties, predicate)


def test_a_point_on_the_boundary_is_not_within_but_intersects() -> None:
    zones = layer([shapely.box(0, 0, 1, 1)])
    edge = objects(["POINT (0 0)", "POINT (1 0.5)", "POINT (0.5 0.5)"])
    assert joined(zones, edge, "within", "all") == [(2, 0)]
    assert joined(zones, edge, "intersects", "all") == [(0, 0), (1, 0), (2, 0)]


def test_first_is_the_lowest_of_the_layer_and_all_are_ascending() -> None:
    zones = layer([shapely.box(9, 9, 10, 10), *[shapely.box(0, 0, n, n) for n in (5, 2, 9)]])
    given = objects(["POINT (1 1)", "POINT (20 20)", "POINT (3 3)"])
    assert joined(zones, given, "within", "all") == [(0, 1), (0, 2), (0, 3), (2, 1), (2, 3)]
    assert joined(zones, given, "within", "first") == [(0, 1), (2, 1)]


@pytest.mark.parametrize("predicate", PREDICATES)
def test_t11_nothing_with_nan_or_infinity_is_ever_in_a_layer(predicate: Predicate) -> None:
    nan, inf = np.nan, np.inf
    with np.errstate(invalid="ignore"):
        given = objects(
            [
                shapely.Point(nan, nan),
                shapely.Point(nan, 0.5),
                shapely.Point(inf, 0.5),
                shapely.linestrings([(0.1, 0.1), (nan, nan), (0.2, 0.2)]),
                shapely.linestrings([(0.1, 0.1), (inf, 0.1)]),
                shapely.polygons([(0, 0), (1, 0), (1, nan), (0, 0)]),
                None,
                "POLYGON EMPTY",
            ]
        )
    assert joined(layer([shapely.box(-1, -1, 2, 2)]), given, predicate, "all") == []


def comb(*, teeth: int, upright: bool) -> npt.NDArray[np.float64]:
    x = np.linspace(0, 1, 2 * teeth)
    y = np.where(np.arange(2 * teeth) % 2, 1.0, 0.01)
    ring = np.column_stack([np.r_[x, 1, 0, 0], np.r_[y, 0, 0, 0.01]])
    return ring if upright else ring[:, ::-1]


@pytest.mark.parametrize("predicate", PREDICATES)
def test_t03_crossed_combs_are_decided_by_the_prepared_layer(predicate: Predicate) -> None:
    # Unprepared, within takes 16.8 s and 1 GB here: the test would not fail but the suite would.
    zones = layer([shapely.polygons(comb(teeth=1000, upright=True))])
    given = objects([shapely.polygons(comb(teeth=1000, upright=False))])
    assert joined(zones, given, predicate, "all") == ([(0, 0)] if predicate == "intersects" else [])


def test_t03_lines_against_lines_are_bounded_by_vertices_by_vertices() -> None:
    zones = layer([shapely.linestrings(comb(teeth=400, upright=True))])
    given = objects([shapely.linestrings(comb(teeth=400, upright=False))])
    with pytest.raises(TooComplexError, match="at most 250000"):
        zones.join(given, "within", "all")


def test_a_layer_without_features_or_geometries_matches_nothing() -> None:
    given = objects(["POINT (0 0)"])
    assert joined(layer([]), given, "within", "first") == []
    assert joined(layer([None]), given, "intersects", "all") == []


def test_columns_hold_null_where_a_feature_lacks_the_property() -> None:
    zones = layer([None, None], [{"a": 1}, {"b": 2}])
    assert zones.source.tolist() == [0, 1]  # without geometries the source's order stays
    assert list(zones.column("a")) == [1, None]
    assert list(zones.column("id")) == ["z0", "z1"]
    assert zones.column("b").values(np.array([1, 0, 1])) == [2, None, 2]
    with pytest.raises(KeyError):
        zones.column("c")


def test_loading_a_layer_leaves_proj_alone_so_that_its_process_may_fork(tmp_path: Path) -> None:
    path = tmp_path / "zones.geojson"
    path.write_text('{"type": "Point", "coordinates": [1, 2]}')
    program = (
        "import sys, pyproj\n"
        "from geoweir.core.spec import LayerSpec\n"
        "from geoweir.spatial.crs import _parsed, transformer\n"
        "from geoweir.spatial.layer import Layer\n"
        "layer = Layer.load(LayerSpec(name='z', path=sys.argv[1], crs='EPSG:25832'))\n"
        "print(len(layer), _parsed.cache_info().misses, transformer.cache_info().misses)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["1", "0", "0"]
