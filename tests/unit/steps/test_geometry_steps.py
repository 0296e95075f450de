"""reproject, validate, join and where on features built directly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import shapely

from geoweir.errors import ConfigurationError
from geoweir.steps.join import Join
from geoweir.steps.reproject import Reproject
from geoweir.steps.step import singly
from geoweir.steps.validate import Validate
from geoweir.steps.where import Where
from support.features import context, features, layer

BOWTIE = "POLYGON ((0 0, 1 1, 1 0, 0 1, 0 0))"


def test_t20_a_feature_at_the_pole_is_in_error_and_the_others_are_moved() -> None:
    chunk = features(["POINT (1 1)", "POINT (0 90)", None, "POINT EMPTY"])
    Reproject({"to": "EPSG:3857"}, context()).run(chunk)
    assert chunk.crs == "EPSG:3857"
    assert chunk.geometry[0].x == pytest.approx(111_319.49)
    assert chunk.geometry[1] is None
    assert "outside the area of use of EPSG:3857" in str(chunk.errors[1])
    assert [chunk.errors[index] for index in (0, 2, 3)] == [None] * 3


def test_a_feature_in_error_is_moved_too_so_that_the_result_s_crs_is_true() -> None:
    chunk = features([BOWTIE])
    chunk.errors[0] = "before"
    Reproject({"to": "EPSG:3857"}, context()).run(chunk)
    assert chunk.errors == ["before"]
    assert shapely.bounds(chunk.geometry[0])[2] == pytest.approx(111_319.49)


def test_t19_a_step_to_an_unnamed_crs_is_not_made() -> None:
    with pytest.raises(ConfigurationError):
        Reproject({"to": "EPSG:25832"}, context())


def test_invalid_geometry_is_that_feature_s_error_with_reason_and_place() -> None:
    chunk = features(["POINT (0 0)", BOWTIE, None])
    Validate({"repair": "none", "max_vertices": 500}, context()).run(chunk)
    assert chunk.errors == [None, "invalid geometry: Self-intersection[0.5 0.5]", None]


@pytest.mark.parametrize("method", ["structure", "linework"])
def test_a_repaired_feature_says_so(method: str) -> None:
    chunk = features([BOWTIE, "POINT (0 0)"])
    Validate({"repair": method, "max_vertices": 500}, context()).run(chunk)
    assert chunk.errors == [None, None]
    assert chunk.geometry[0].is_valid
    assert chunk.repaired == [f"{method}: Self-intersection[0.5 0.5]", None]


def test_t02_an_invalid_ring_over_max_vertices_is_an_error_without_a_repair() -> None:
    ring = shapely.polygons(np.random.default_rng(1).random((600, 2)))
    chunk = features([ring, BOWTIE])
    Validate({"repair": "linework", "max_vertices": 500}, context()).run(chunk)
    assert "too complex to repair: 601 vertices" in str(chunk.errors[0])
    assert chunk.geometry[0] is ring
    assert chunk.repaired[1] is not None


def zones() -> dict[str, Any]:
    boxes = [shapely.box(0, 0, 2, 2), shapely.box(1, 1, 3, 3)]
    return {"zones": layer(boxes, [{"name": "A", "tags": ["x"]}, {"name": "B"}])}


def test_join_first_attaches_the_lowest_match_or_null() -> None:
    chunk = features(["POINT (1.5 1.5)", "POINT (9 9)", None, "POINT EMPTY"])
    options = {"layer": "zones", "predicate": "within", "attach": ["name", "id"], "match": "first"}
    Join(options, context(zones())).run(chunk)
    assert chunk.properties[0] == {"zones_name": "A", "zones_id": "z0"}
    assert chunk.properties[1:] == [{"zones_name": None, "zones_id": None}] * 3
    assert chunk.errors == [None] * 4


def test_join_all_attaches_lists_in_the_order_of_the_layer() -> None:
    chunk = features(["POINT (1.5 1.5)", "POINT (9 9)"])
    options = {"layer": "zones", "predicate": "within", "attach": ["name"], "match": "all"}
    Join(options, context(zones())).run(chunk)
    assert chunk.properties == [{"zones_name": ["A", "B"]}, {"zones_name": []}]


def test_join_without_fields_attaches_the_id_and_overwrites_nothing_else() -> None:
    chunk = features(["POINT (0.5 0.5)"], [{"name": "mine", "zones_id": "old"}])
    Join(
        {"layer": "zones", "predicate": "within", "attach": [], "match": "first"}, context(zones())
    ).run(chunk)
    assert chunk.properties == [{"name": "mine", "zones_id": "z0"}]


def test_attached_lists_are_not_shared_with_the_layer() -> None:
    layers = zones()
    chunk = features(["POINT (0.5 0.5)"])
    options = {"layer": "zones", "predicate": "within", "attach": ["tags"], "match": "first"}
    Join(options, context(layers)).run(chunk)
    chunk.properties[0]["zones_tags"].append("changed")
    assert layers["zones"].column("tags")[0] == ["x"]


def test_join_with_a_layer_in_another_crs_leaves_the_geometry_as_it_is() -> None:
    layers = {"zones": layer([shapely.box(0, 0, 200_000, 200_000)], crs="EPSG:3857")}
    chunk = features(["POINT (1 1)", "POINT (3 3)", "POINT (0 90)"])
    Join(
        {"layer": "zones", "predicate": "within", "attach": [], "match": "first"}, context(layers)
    ).run(chunk)
    assert [p["zones_id"] for p in chunk.properties] == ["z0", None, None]
    assert (chunk.crs, chunk.geometry[0].x) == ("EPSG:4326", 1)


def test_join_names_the_fields_and_layers_that_there_are() -> None:
    options = {"layer": "zones", "predicate": "within", "attach": ["nome"], "match": "first"}
    with pytest.raises(ConfigurationError, match="Its fields: id, name, tags"):
        Join(options, context(zones()))
    with pytest.raises(ConfigurationError, match="Layers: zones"):
        Join(options | {"layer": "zone"}, context(zones()))


def test_t03_a_pair_too_complex_is_the_culprit_s_error_only() -> None:
    line = shapely.LineString(np.random.default_rng(2).random((700, 2)))
    layers = {"zones": layer([line])}
    other = shapely.LineString(np.random.default_rng(3).random((700, 2)))
    chunk = features([other, shapely.Point(line.coords[1])])
    options = {"layer": "zones", "predicate": "intersects", "attach": [], "match": "first"}
    Join(options, context(layers)).run(chunk)
    assert "too complex to compare with zones" in str(chunk.errors[0])
    assert chunk.properties == [{}, {"zones_id": "z0"}]


def test_when_geos_gives_up_only_the_culprit_gets_the_error() -> None:
    chunk = features(["POINT (0 0)", "POINT (1 1)", "POINT (2 2)"])
    done: list[int] = []

    def work(some: np.ndarray[Any, Any]) -> None:
        if 1 in some:
            raise shapely.errors.GEOSException("TopologyException:\n  side location conflict")
        done.extend(some.tolist())

    singly(chunk, chunk.alive(), work)
    assert done == [0, 2]
    assert chunk.errors == [None, "TopologyException: side location conflict", None]


def test_geos_without_memory_is_a_memory_error_and_nobody_s_fault() -> None:
    chunk = features(["POINT (0 0)"])

    def work(some: np.ndarray[Any, Any]) -> None:
        raise shapely.errors.GEOSException(f"std::bad_alloc {some}")

    with pytest.raises(MemoryError):
        singly(chunk, chunk.alive(), work)
    assert chunk.errors == [None]


def test_steps_leave_features_in_error_or_filtered_alone() -> None:
    chunk = features([BOWTIE, BOWTIE])
    chunk.errors[0], chunk.filtered[1] = "before", "where"
    layers = zones()
    Validate({"repair": "structure", "max_vertices": 500}, context()).run(chunk)
    Join(
        {"layer": "zones", "predicate": "within", "attach": [], "match": "first"}, context(layers)
    ).run(chunk)
    Where({"inside": None, "field": "a", "exists": True}, context()).run(chunk)
    assert (chunk.errors, chunk.filtered) == (["before", None], [None, "where"])
    assert chunk.properties == [{}, {}]
    assert chunk.repaired == [None, None]


def test_where_inside_filters_what_is_outside_null_or_on_the_boundary() -> None:
    chunk = features(["POINT (0.5 0.5)", "POINT (9 9)", None, "POINT EMPTY", "POINT (0 0)"])
    Where({"inside": "zones", "field": None}, context(zones())).run(chunk)
    assert chunk.filtered == [None, "where", "where", "where", "where"]


def test_t11_nan_is_never_inside() -> None:
    with np.errstate(invalid="ignore"):
        given = [shapely.Point(np.nan, 1), shapely.linestrings([(1, 1), (np.nan, 1)])]
    chunk = features(given)
    Where({"inside": "zones", "field": None}, context(zones())).run(chunk)
    assert chunk.filtered == ["where", "where"]


@pytest.mark.parametrize(
    ("test", "value", "holds"),
    [
        ({"equals": 1}, 1.0, True),
        ({"equals": 1}, True, False),
        ({"equals": True}, 1, False),
        ({"equals": "1"}, 1, False),
        ({"equals": None}, None, True),
        ({"not_equals": 1}, "1", True),
        ({"not_equals": 1}, 1, False),
        ({"above": 1}, 1, False),
        ({"above": 1}, 2, True),
        ({"above": 1}, "2", False),
        ({"above": 1}, None, False),
        ({"above": 0}, True, False),
        ({"above": "a"}, "b", True),
        ({"below": 1}, 0.5, True),
        ({"below": 1}, float("nan"), False),
        ({"at_least": 1}, 1, True),
        ({"at_most": 1}, 1, True),
        ({"at_most": 1}, [0], False),
        ({"in": [1, "x"]}, "x", True),
        ({"in": [1, "x"]}, True, False),
        ({"not_in": [1]}, 1, False),
        ({"not_in": [1]}, 2, True),
        ({"exists": True}, 0, True),
        ({"exists": True}, None, False),
        ({"exists": False}, None, True),
        ({"above": 1, "below": 3}, 2, True),
        ({"above": 1, "below": 3}, 4, False),
    ],
)
def test_where_compares_values_of_one_kind(
    test: dict[str, Any], value: object, *, holds: bool
) -> None:
    chunk = features([None], [{"speed": value}])
    Where({"inside": None, "field": "speed"} | test, context()).run(chunk)
    assert chunk.filtered == [None if holds else "where"]


@pytest.mark.parametrize(
    ("test", "holds"),
    [
        ({"equals": 1}, False),
        ({"equals": None}, False),
        ({"not_equals": 1}, True),
        ({"above": 1}, False),
        ({"in": [1]}, False),
        ({"not_in": [1]}, True),
        ({"exists": True}, False),
        ({"exists": False}, True),
    ],
)
def test_a_missing_field_fulfils_only_negations(test: dict[str, Any], *, holds: bool) -> None:
    chunk = features([None])
    Where({"inside": None, "field": "speed"} | test, context()).run(chunk)
    assert chunk.filtered == [None if holds else "where"]


def test_where_finds_nested_fields_and_prefers_the_exact_name() -> None:
    chunk = features([None, None], [{"a": {"b": 1}}, {"a.b": 2, "a": {"b": 1}}])
    Where({"inside": None, "field": "a.b", "equals": 1}, context()).run(chunk)
    assert chunk.filtered == [None, "where"]
