from __future__ import annotations

import sys
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from geoweir.errors import WorkerError
from geoweir.steps.python import Python
from support.features import context, features

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_NUMBERS = count()


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[str], Python]]:
    """A step from the body of a function ``step(chunk)`` in a module of its own."""
    path, modules = list(sys.path), set(sys.modules)

    def made(body: str) -> Python:
        name = f"user_step_{next(_NUMBERS)}"
        lines = "\n".join(f"    {line}" for line in body.splitlines())
        source = f"import shapely\n\n\ndef step(chunk):\n{lines}\n"
        (tmp_path / f"{name}.py").write_text(source)
        return Python({"call": f"{name}:step"}, context(module_path=str(tmp_path)))

    yield made
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def points(number: int) -> Any:
    return features([f"POINT ({n} 0)" for n in range(number)], [{"n": n} for n in range(number)])


def test_it_changes_properties_and_geometry_and_sees_ids_and_crs(make: Any) -> None:
    chunk = points(2)
    make(
        "for i, p in enumerate(chunk.properties):\n"
        "    p['seen'] = [chunk.ids[i], chunk.crs, len(chunk)]\n"
        "chunk.geometry = shapely.buffer(chunk.geometry, 1)"
    ).run(chunk)
    assert chunk.properties[1] == {"n": 1, "seen": ["f1", "EPSG:4326", 2]}
    assert [g.geom_type for g in chunk.geometry] == ["Polygon", "Polygon"]


def test_drop_filters_fail_makes_an_error_and_fail_is_the_stronger(make: Any) -> None:
    chunk = points(3)
    make("chunk.drop(0)\nchunk.drop(1)\nchunk.fail(1, 'too fast')").run(chunk)
    assert chunk.filtered == ["step", None, None]
    assert chunk.errors == [None, "too fast", None]


@pytest.mark.parametrize(
    "raises",
    [
        "raise ValueError('odd\\nspeed')",
        "raise SystemExit(3)",
        "raise KeyboardInterrupt",
        "raise type('PanicException', (BaseException,), {})('rust')",
        "chunk.geometry = []",
        "chunk.drop(99)",
        "chunk.properties.clear()",
        "chunk.crs = 'EPSG:3857'",
    ],
)
def test_t22_an_exception_is_the_fault_of_the_one_feature_that_causes_it(
    make: Any, raises: str
) -> None:
    chunk = points(3)
    make(
        "for p in chunk.properties:\n"
        "    p['runs'] = p.get('runs', 0) + 1\n"
        f"if any(p['n'] == 1 for p in chunk.properties):\n    {raises}"
    ).run(chunk)
    assert chunk.errors[0] is chunk.errors[2] is None
    assert str(chunk.errors[1]).startswith("user_step_")
    assert "\n" not in str(chunk.errors[1])
    assert chunk.properties == [{"n": 0, "runs": 1}, {"n": 1}, {"n": 2, "runs": 1}]


def test_the_error_names_the_exception_and_the_line(make: Any) -> None:
    chunk = points(1)
    step = make("return chunk.properties[0]['speed']")
    step.run(chunk)
    assert "KeyError: 'speed' (user_step_" in str(chunk.errors[0])
    assert str(chunk.errors[0]).endswith(".py:5)")


def test_nested_properties_are_fresh_in_the_second_run(make: Any) -> None:
    chunk = features([None, None], [{"a": {"l": []}}, {"a": {"l": [], "bad": True}}])
    make(
        "for p in chunk.properties:\n    p['a']['l'].append(1)\n"
        "if any('bad' in p['a'] for p in chunk.properties):\n    raise ValueError"
    ).run(chunk)
    assert chunk.properties == [{"a": {"l": [1]}}, {"a": {"l": [], "bad": True}}]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("chunk.properties[1] = [1]", "properties must be a dict, but the step left a list"),
        ("chunk.properties[1] = None", "properties must be a dict, but the step left a NoneType"),
        ("chunk.geometry[1] = 'x'", "geometry must be shapely's, but the step left a str"),
    ],
)
def test_a_value_of_the_wrong_type_is_that_feature_s_error(make: Any, body: str, says: str) -> None:
    chunk = points(3)
    make(f"if len(chunk) > 1:\n    {body}").run(chunk)
    assert chunk.errors == [None, says, None]
    assert chunk.properties == [{"n": 0}, {"n": 1}, {"n": 2}]


def test_a_null_geometry_may_be_left(make: Any) -> None:
    chunk = points(1)
    make("chunk.geometry[0] = None").run(chunk)
    assert (chunk.geometry[0], chunk.errors) == (None, [None])


def test_t08_properties_too_deep_to_copy_are_that_feature_s_error(make: Any) -> None:
    deep: Any = []
    for _ in range(5000):
        deep = [deep]
    chunk = features([None, None], [{"deep": deep}, {}])
    make("for p in chunk.properties:\n    p['seen'] = 1").run(chunk)
    assert "RecursionError" in str(chunk.errors[0])
    assert (chunk.errors[1], chunk.properties[1]) == (None, {"seen": 1})


def test_t08_a_self_containing_value_is_that_feature_s_error_in_the_next_step(make: Any) -> None:
    chunk = points(2)
    make("chunk.properties[0]['self'] = chunk.properties[0]").run(chunk)
    make("chunk.properties[-1]['seen'] = 1").run(chunk)
    assert "RecursionError" in str(chunk.errors[0])
    assert chunk.properties[1] == {"n": 1, "seen": 1}


def test_no_memory_is_the_worker_s_to_report(make: Any) -> None:
    step = make("raise MemoryError")
    with pytest.raises(MemoryError):
        step.run(points(1))


def test_it_is_not_called_for_nothing(make: Any) -> None:
    chunk = points(1)
    chunk.filtered[0] = "where"
    make("raise MemoryError").run(chunk)
    assert chunk.errors == [None]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("nothing", "does not name a function"),
        ("no_such_module:f", "ModuleNotFoundError"),
        ("json:nothing", "has no attribute 'nothing'"),
        ("json:__name__", "is not a plain function"),
        ("exiting:f", "SystemExit"),
        ("awaiting:f", "is not a plain function"),
    ],
)
def test_what_cannot_be_imported_is_said_at_once(tmp_path: Path, call: str, says: str) -> None:
    (tmp_path / "exiting.py").write_text("raise SystemExit\n")
    (tmp_path / "awaiting.py").write_text("async def f(chunk): pass\n")
    before = list(sys.path)
    try:
        with pytest.raises(WorkerError, match=says):
            Python({"call": call}, context(module_path=str(tmp_path)))
    finally:
        sys.path[:] = before
