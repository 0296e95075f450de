from __future__ import annotations

import math
import os
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import orjson
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from geoweir.spatial.attributes import Attributes
from geoweir.spatial.compiling.build import LayerBuilder
from geoweir.spatial.file.format import LayerFileError
from geoweir.spatial.file.mapped import MappedFile
from geoweir.spatial.ragged import Ragged
from support.layers import memory_file

VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**54), 2**54)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(["a", "b", ""])
    | st.lists(st.integers(0, 2**70), max_size=2)
    | st.dictionaries(st.text(max_size=2), st.floats(0, 1), max_size=2)
)
ROWS = st.dictionaries(st.sampled_from(["a", "b", "c", "ä", ""]), VALUES, max_size=5)
IDS = st.text(max_size=5) | st.integers(-(2**70), 2**70).map(str)


def made(ids: list[str], rows: list[dict[str, Any]], memory: int = 10**8) -> MappedFile:
    """A file of features whose places in space have nothing to do with their order."""
    random = Random(len(ids))
    places = [(random.random(), random.random()) for _ in ids]
    builder = LayerBuilder(Path("/tmp"), memory)
    for at in range(0, len(ids), 7):
        some = slice(at, at + 7)
        points = np.array([shapely.Point(place) for place in places[some]], dtype=object)
        builder.add(ids[some], rows[some], Ragged.from_shapely(points))
    with memory_file() as descriptor:
        builder.write(descriptor, {}, "EPSG:4326")
        builder.close()
        return MappedFile(descriptor)


def read_back(file: MappedFile) -> tuple[list[str], dict[str, list[Any]]]:
    """Everything, in the order of the source."""
    order = np.argsort(file.array("source", "<u4"))
    attributes = Attributes.open(file)
    return attributes.ids(order), {f: attributes.values(f, order) for f in attributes.fields}


def exactly(values: list[Any]) -> list[Any]:
    return [
        (type(value), math.copysign(1, value), value)
        if type(value) is float
        else (type(value), value)
        for value in values
    ]


@given(
    features=st.lists(st.tuples(IDS, ROWS), max_size=40),
    memory=st.sampled_from([10**8, 20_000, 1000]),
)
def test_every_value_comes_back_as_it_was(
    features: list[tuple[str, dict[str, Any]]], memory: int
) -> None:
    given_ids, rows = [one[0] for one in features], [one[1] for one in features]
    ids, columns = read_back(made(given_ids, rows, memory))
    assert ids == given_ids
    for name in {name for row in rows for name in row}:
        assert exactly(columns[name]) == exactly([row.get(name) for row in rows]), name


def test_a_text_that_utf_8_has_no_form_for_is_replaced() -> None:
    assert read_back(made(["a"], [{"t": "x\ud800"}]))[1] == {"t": ["x?"]}


def test_numbers_that_are_not_finite_are_no_value() -> None:
    rows = [{"a": math.nan, "b": 1.0}, {"a": math.inf, "b": 2.0}]
    assert read_back(made(["1", "2"], rows))[1] == {"a": [None, None], "b": [1.0, 2.0]}


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, -2, 2**62], "int"),
        ([1.5, -0.0], "float"),
        ([1, 2.5], "number"),
        ([2**60, 2.5], "json"),
        ([True, False], "bool"),
        (["a"] * 200, "words"),
        ([f"{n}" for n in range(2000)], "text"),
        ([1, "a"], "json"),
        ([2**64], "json"),
    ],
)
def test_each_column_has_the_form_that_its_values_allow(values: list[Any], kind: str) -> None:
    rows = [{"v": value} for value in values]
    file = made([str(n) for n in range(len(rows))], rows)
    (column,) = orjson.loads(bytes(file.array("fields", "u1")))["fields"]
    assert column["kind"] == kind
    assert read_back(file)[1]["v"] == values


def test_a_field_that_few_have_takes_no_room_for_the_others() -> None:
    rows: list[dict[str, Any]] = [{"rare": 1} if n == 500 else {} for n in range(1000)]
    without = made([str(n) for n in range(1000)], [{} for _ in rows])
    file = made([str(n) for n in range(1000)], rows)
    assert len(file.array("columns", "u1")) - len(without.array("columns", "u1")) <= 16
    assert read_back(file)[1]["rare"] == [row.get("rare") for row in rows]


def test_many_fields_need_no_more_sections_than_few() -> None:
    rows = [{f"f{n}": n for n in range(300)}]
    assert made(["a"], rows).header.sections.keys() == made(["a"], [{}]).header.sections.keys()


def test_an_index_beyond_the_features_is_refused() -> None:
    attributes = Attributes.open(made(["a"], [{"v": 1}]))
    for wrong in (-1, 1):
        with pytest.raises(IndexError):
            attributes.ids(np.array([wrong]))
        with pytest.raises(IndexError):
            attributes.values("v", np.array([wrong]))
    with pytest.raises(KeyError):
        attributes.values("w", np.array([0]))


def test_a_damaged_file_gives_wrong_values_or_one_error() -> None:
    random = Random(5)
    rows: list[dict[str, Any]] = [
        {"a": n, "b": "word", "c": f"text {n}", "d": [n], "e": n / 3 if n % 2 else n}
        for n in range(100)
    ]
    for row in rows[::2]:
        del row["c"]
    whole = made([f"id {n}" for n in range(100)], rows)
    sections = {name: whole.header.sections[name] for name in ("fields", "columns")}
    content = _bytes_of(whole)
    refused = 0
    for _ in range(400):
        damaged = bytearray(content)
        for _ in range(random.choice([1, 3, 30])):
            section = sections[random.choice(["fields", "columns"])]
            damaged[section.offset + random.randrange(section.size)] = random.randrange(256)
        with memory_file() as descriptor:
            os.write(descriptor, damaged)
            file = MappedFile(descriptor)
        try:
            read_back(file)
        except LayerFileError:
            refused += 1
    assert 20 < refused < 400


def _bytes_of(file: MappedFile) -> bytes:
    """A file as bytes, rebuilt of its sections."""
    return bytes(file._map)


@pytest.mark.parametrize(
    "said",
    [
        b"{}",
        b'{"id": {"kind": "int", "count": 1, "values": 0}}',
        b'{"id": {"kind": "int", "count": 1, "values": 4}, "fields": []}',
        b'{"id": {"kind": "int", "count": 1, "values": 8}, "fields": []}',
        b'{"id": {"kind": "int", "count": true, "values": 0}, "fields": []}',
        b'{"id": {"kind": "int", "count": 1, "values": -8}, "fields": []}',
        b'{"id": {"kind": "odd", "count": 1, "values": 0}, "fields": []}',
        b'{"id": {"kind": "int", "count": 9, "values": 0}, "fields": []}',
    ],
)
def test_a_directory_that_makes_no_sense_is_refused(said: bytes) -> None:
    with pytest.raises(LayerFileError):
        Attributes(1, orjson.loads(said), np.zeros(8, dtype=np.uint8))
