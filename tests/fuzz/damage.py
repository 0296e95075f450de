"""Ways to damage a layer file, those that get past its first page above all.

Each takes the bytes of a sound file and gives those of a damaged one. What is chosen is a matter of
the generator alone, so that a case can be made again from its number.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
import orjson

from geoweir.spatial.file.format import (
    DTYPES,
    PAGE,
    LayerFileError,
    Section,
    pack_page,
    padded,
    parse_page,
)

__all__ = ["WAYS", "damaged"]

_T = TypeVar("_T")
_Rng = np.random.Generator
_Way = Callable[[bytes, bytes, _Rng], bytes]

#: What offsets, counts and cells are likely to be compared with.
_EDGES: Final = [0, 1, 2, 3, 15, 16, 255, 2**28, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**62]
_EDGES_U8: Final = [*_EDGES, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1]
_EDGES_F8: Final = [0.0, -0.0, 1.0, -1.0, 5e-324, 1e308, -1e308, np.inf, -np.inf, np.nan, 2.0**52]
_META: Final[list[Any]] = [None, True, -1, 0, 2**63, 1e308, "", "EPSG:0", [], {}, [[]], "x" * 5000]


def damaged(data: bytes, other: bytes, rng: _Rng) -> tuple[str, bytes]:
    """One way that the generator chooses, once or thrice: its name, and what it makes."""
    name = _one_of(list(WAYS), rng)
    for _ in range(_one_of([1, 1, 3], rng)):
        with contextlib.suppress(LayerFileError, orjson.JSONDecodeError):  # damaged enough
            data = WAYS[name](data, other, rng)
    return name, data


def _one_of(values: Sequence[_T], rng: _Rng) -> _T:
    """As it is: numpy's ``choice`` would make floats of integers beyond 63 bits."""
    return values[int(rng.integers(0, len(values)))]


def _sections(data: bytes) -> tuple[str, list[Section]]:
    header = parse_page(data[:PAGE], len(data))
    return header.kind, list(header.sections.values())


def _sealed(kind: str, body: bytes, sections: list[Section]) -> bytes:
    """A first page that agrees with itself, whatever the body is."""
    return pack_page(kind, len(body), sections) + body[PAGE:]


def _flip(data: bytes, _other: bytes, rng: _Rng) -> bytes:
    """Bits anywhere, unsealed: mostly in sections, which nothing guards."""
    body = bytearray(data)
    for place in rng.integers(0, len(body), rng.integers(1, 17)):
        body[place] ^= 1 << int(rng.integers(0, 8))
    return bytes(body)


def _flip_page(data: bytes, _other: bytes, rng: _Rng) -> bytes:
    body = bytearray(data)
    body[int(rng.integers(0, PAGE))] ^= 1 << int(rng.integers(0, 8))
    return bytes(body)


def _cut(data: bytes, _other: bytes, rng: _Rng) -> bytes:
    return data[: int(rng.integers(0, len(data)))]


def _cut_and_seal(data: bytes, _other: bytes, rng: _Rng) -> bytes:
    """A shorter file whose page says so, its last sections with it."""
    kind, sections = _sections(data)
    size = int(rng.integers(PAGE, len(data) + 1))
    kept = [_shortened(one, size) for one in sections if one.offset <= size]
    return _sealed(kind, data[:size], kept or sections[:1])


def _shortened(one: Section, end: int) -> Section:
    row = one.columns * DTYPES[one.dtype]
    size = min(one.size, max(end - one.offset, 0)) // row * row
    return dataclasses.replace(one, size=size)


def _lie(data: bytes, _other: bytes, rng: _Rng) -> bytes:
    """One entry of the table is another than it was."""
    kind, sections = _sections(data)
    at = int(rng.integers(0, len(sections)))
    one = sections[at]
    match int(rng.integers(0, 6)):
        case 0:
            one = dataclasses.replace(
                one, offset=int(rng.integers(0, len(data) // PAGE + 2)) * PAGE
            )
        case 1:
            row = one.columns * DTYPES[one.dtype]
            one = dataclasses.replace(one, size=int(rng.integers(0, one.size // row + 2)) * row)
        case 2:
            one = dataclasses.replace(one, columns=_one_of([1, 2, 3, 4, 16, PAGE], rng))
        case 3:
            one = dataclasses.replace(one, dtype=_one_of(list(DTYPES), rng))
        case 4:
            names = [section.name for section in sections]
            one = dataclasses.replace(one, name=_one_of([*names, "unknown"], rng))
        case _:
            one = dataclasses.replace(one, size=_one_of(_EDGES_U8, rng))
    sections[at] = one
    if rng.integers(0, 4) == 0:
        sections.pop(int(rng.integers(0, len(sections))))
    return _sealed(kind, data, sections)


def _chosen(data: bytes, rng: _Rng) -> tuple[Section, npt.NDArray[Any], bytearray]:
    """A section that holds something, as an array within a copy of the file."""
    _, sections = _sections(data)
    filled = [one for one in sections if one.size and one.name != "meta"]
    one = filled[int(rng.integers(0, len(filled)))]
    body = bytearray(data)
    count = one.size // DTYPES[one.dtype]
    return one, np.frombuffer(body, dtype=one.dtype, count=count, offset=one.offset), body


def _values(data: bytes, _other: bytes, rng: _Rng) -> bytes:
    """A few values of a section are extreme, or those of others, or about the section's length."""
    one, values, body = _chosen(data, rng)
    places = rng.integers(0, len(values), rng.integers(1, 9))
    if one.dtype.startswith("<f"):
        values[places] = rng.choice(_EDGES_F8, len(places))
    else:
        own = [len(values), len(values) - 1, len(values) + 1, int(values[places[0]])]
        edges = [*_EDGES_U8, *own, int(values.max()) + 1]
        mask = (1 << (8 * values.itemsize)) - 1
        picked = [_one_of(edges, rng) & mask for _ in places]
        values.view(f"<u{values.itemsize}")[places] = picked
    return bytes(body)


def _steps(data: bytes, _other: bytes, rng: _Rng) -> bytes:
    """Some integers of a section are a little more or less than they were."""
    _, values, body = _chosen(data, rng)
    places = rng.integers(0, len(values), rng.integers(1, 17))
    if values.dtype.kind in "ui":
        unsigned = values.view(f"<u{values.itemsize}")
        steps = rng.integers(1, 65, len(places)).astype(unsigned.dtype)
        unsigned[places] += steps * unsigned.dtype.type(rng.choice([1, 2**8 - 1]))
    else:
        values[places] = np.nextafter(values[places], rng.choice([-np.inf, np.inf]))
    return bytes(body)


def _noise(data: bytes, _other: bytes, rng: _Rng) -> bytes:
    """A stretch of a section, or all of it, is random."""
    one, _, body = _chosen(data, rng)
    start = 0 if rng.integers(0, 3) == 0 else int(rng.integers(0, one.size))
    end = int(rng.integers(start, one.size)) + 1
    body[one.offset + start : one.offset + end] = rng.bytes(end - start)
    return bytes(body)


def _fill(data: bytes, _other: bytes, rng: _Rng) -> bytes:
    """All of a section is one value."""
    one, values, body = _chosen(data, rng)
    byte = _one_of([0x00, 0x01, 0x7F, 0x80, 0xFF], rng)
    if rng.integers(0, 2):
        values[:] = values[int(rng.integers(0, len(values)))]
    else:
        body[one.offset : one.offset + one.size] = bytes([byte]) * one.size
    return bytes(body)


def _shuffle(data: bytes, _other: bytes, rng: _Rng) -> bytes:
    """The values of a section in another order: every one of them is a possible one."""
    _, values, body = _chosen(data, rng)
    start = int(rng.integers(0, len(values)))
    part = values[start : start + int(rng.integers(2, 200))]
    part[:] = rng.permutation(part)
    return bytes(body)


def _splice(data: bytes, other: bytes, rng: _Rng) -> bytes:
    """A section's bytes are those of another file's section of the same name."""
    one, _, body = _chosen(data, rng)
    theirs = {section.name: section for section in _sections(other)[1]}.get(one.name)
    if theirs is not None:
        part = other[theirs.offset : theirs.offset + theirs.size][: one.size]
        body[one.offset : one.offset + len(part)] = part
    return bytes(body)


def _describe(data: bytes, _other: bytes, rng: _Rng) -> bytes:
    """A description says something else, in valid JSON or not."""
    kind, sections = _sections(data)
    told = {one.name: text for one in sections if (text := _text(data, one)) is not None}
    name = _one_of(list(told), rng)
    one = next(each for each in sections if each.name == name)
    if rng.integers(0, 5) == 0:
        made = told[name][: int(rng.integers(0, one.size + 1))]
    else:
        document = orjson.loads(told[name])
        _lie_within(document, rng)
        made = orjson.dumps(document)
    room = min(padded(one.size), len(data) - one.offset)
    made = made[:room]
    body = data[: one.offset] + made.ljust(room, b"\0") + data[one.offset + room :]
    resized = dataclasses.replace(one, size=len(made))
    return _sealed(kind, body, [resized if each is one else each for each in sections])


def _text(data: bytes, one: Section) -> bytes | None:
    """A section's bytes where they are JSON."""
    text = data[one.offset : one.offset + one.size]
    return text if one.dtype == "u1" and text.startswith((b"{", b"[")) else None


def _lie_within(document: Any, rng: _Rng) -> None:
    """Replaces one value at any depth, or leaves it out."""
    while True:
        keys = list(document) if isinstance(document, dict) else list(range(len(document)))
        if not keys:
            return
        key = _one_of(keys, rng)
        value = document[key]
        if not (isinstance(value, dict | list) and value) or rng.integers(0, 4) == 0:
            break
        document = value
    if rng.integers(0, 5) == 0:
        del document[key]
    elif isinstance(value, int) and rng.integers(0, 2):
        document[key] = value + _one_of([-8, -1, 1, 8, 4096], rng)
    else:
        document[key] = _one_of([*_META, *_EDGES], rng)


WAYS: Final[dict[str, _Way]] = {
    "flip": _flip,
    "flip-page": _flip_page,
    "cut": _cut,
    "cut-and-seal": _cut_and_seal,
    "lie": _lie,
    "values": _values,
    "steps": _steps,
    "noise": _noise,
    "fill": _fill,
    "shuffle": _shuffle,
    "splice": _splice,
    "describe": _describe,
}
