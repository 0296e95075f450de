"""How ids and properties are written: a column per field, each in the form that its values allow.

Two sections for any number of fields:

    fields    JSON: {"id": column, "fields": [column …]}, in the order in which they first came
    columns   u1: the columns' arrays, each from a multiple of 8 bytes, little-endian

A column says ``name``, ``kind``, ``count`` and where its arrays begin in ``columns``:

    rows      u4 (count,): the features that have a value, ascending; left out where all have one
    values    bool u1 · int i8 · float f8 · number f8 · words u2 (codes) · text, json u8 (count + 1)
    more      number: u1, whether the value is an integer · words: u8 (words + 1), where each begins
    bytes     text, words: UTF-8 · json: JSON texts

``number`` is for fields that hold integers up to 2 ** 53 among floats, ``words`` for texts that
repeat, ``json`` for all the rest. Null, and numbers that aren't finite, are no value.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson

from geoweir.errors import ConfigurationError
from geoweir.spatial import exactjson
from geoweir.spatial.compiling.spool import Spool

__all__ = ["ARRAYS", "MOST_WORDS", "ColumnWriter", "Row", "is_number"]

Row = dict[str, Any]

#: Each kind's arrays: dtypes of ``values`` and ``more``.
ARRAYS: Final[dict[str, tuple[str, str | None]]] = {
    "bool": ("u1", None),
    "int": ("<i8", None),
    "float": ("<f8", None),
    "number": ("<f8", "u1"),
    "words": ("<u2", "<u8"),
    "text": ("<u8", None),
    "json": ("<u8", None),
}
MOST_WORDS: Final = 65_536
_MOST_WORD_BYTES: Final = 4_000_000  # of all columns together
_MOST_FIELDS: Final = 10_000
_SAFE: Final = 2**53
_INT64: Final = range(-(2**63), 2**63)
_ALIGNED: Final = 8


def is_number(text: str) -> bool:
    """Whether an id is exactly what a 64-bit integer looks like."""
    digits = text.removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or len(digits) > len(str(2**63)):
        return False
    return str(int(text)) == text and int(text) in _INT64


@dataclass(slots=True)
class _Column:
    """What is known of a field: first what was seen, then where its arrays go."""

    name: str
    key: str
    kinds: set[str] = field(default_factory=set)
    count: int = 0
    words: dict[str, int] | None = field(default_factory=dict)
    written: int = 0  # bytes of text so far

    @property
    def kind(self) -> str:
        if self.kinds == {"text"}:
            return "text" if self.words is None else "words"
        if self.kinds == {"int", "float"}:
            return "number"
        if self.kinds <= {"int", "wide"} and self.kinds:
            return "int"
        return self.kinds.copy().pop() if len(self.kinds) == 1 else "json"


class ColumnWriter:
    """Learns every value first, in any order, and then takes them again in the file's order.

    Args:
        spool: where the arrays grow; the keys that this writes begin with ``column.``.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._columns: dict[str, _Column] = {}
        self._ids = _Column("id", "column.id", words=None)
        self._word_bytes = 0
        self._features = 0

    @property
    def fields(self) -> list[str]:
        """The names that some feature has, in the order in which they came."""
        return list(self._columns)

    def learn(self, ident: str, row: Row) -> None:
        """Takes note of one feature's values.

        Raises:
            ConfigurationError: there are too many different fields.
        """
        self._ids.kinds.add("int" if is_number(ident) else "text")
        for name, value in row.items():
            column = self._columns.get(name)
            if column is None:
                column = self._new(name)
            if value is not None:
                self._see(column, value)

    def _new(self, name: str) -> _Column:
        if len(self._columns) >= _MOST_FIELDS:
            raise ConfigurationError(
                f"the features have more than {_MOST_FIELDS:,} different properties. "
                "Name those to be kept with --keep."
            )
        column = _Column(name, f"column.{len(self._columns)}")
        self._columns[name] = column
        return column

    def _see(self, column: _Column, value: object) -> None:
        kind = _kind(value)
        if kind is None:
            return
        column.kinds.add(kind)
        column.count += 1
        if column.words is not None and isinstance(value, str) and value not in column.words:
            self._word_bytes += len(value)
            # Texts that mostly differ are shorter without a list of words.
            is_repeating = len(column.words) < min(MOST_WORDS, max(64, column.count // 2))
            if is_repeating and self._word_bytes < _MOST_WORD_BYTES:
                column.words[sys.intern(value)] = len(column.words)
            else:
                column.words = None

    def write(self, ids: list[str], rows: list[Row]) -> None:
        """The next features of the file; their values are known from ``learn``."""
        self._encode(self._ids, "int" if self._ids.kinds == {"int"} else "text", ids)
        found: dict[str, tuple[list[int], list[Any]]] = {}
        for number, row in enumerate(rows, start=self._features):
            for name, value in row.items():
                if value is not None and _kind(value) is not None:
                    numbers, values = found.setdefault(name, ([], []))
                    numbers.append(number)
                    values.append(value)
        for name, (numbers, values) in found.items():
            column = self._columns[name]
            self._put(column, "rows", np.array(numbers, dtype="<u4"))
            self._encode(column, column.kind, values)
        self._features += len(ids)

    def _encode(self, column: _Column, kind: str, values: list[Any]) -> None:
        if kind in {"text", "json"}:
            coded = [_utf8(v) if kind == "text" else exactjson.dumps(v) for v in values]
            ends = np.cumsum([column.written, *map(len, coded)], dtype=np.uint64)
            self._put(column, "values", ends[:-1])
            self._spool.append(f"{column.key}.bytes", b"".join(coded))
            column.written = int(ends[-1])
            return
        if kind == "words" and column.words is not None:
            values = [column.words[value] for value in values]
        if kind == "number":
            self._put(column, "more", np.array([type(v) is int for v in values], dtype="u1"))
        self._put(column, "values", np.array(values, dtype=ARRAYS[kind][0]))

    def _put(self, column: _Column, part: str, array: npt.NDArray[Any]) -> None:
        self._spool.append(f"{column.key}.{part}", array.tobytes())

    def directory(self) -> bytes:
        """The section ``fields``; everything was written. Closes the columns of texts."""
        at = 0
        described = []
        for column in (self._ids, *self._columns.values()):
            kind = column.kind if column is not self._ids else self._id_kind()
            count = column.count if column is not self._ids else self._features
            self._close(column, kind, is_full=count == self._features)
            one: dict[str, Any] = {"name": column.name, "kind": kind, "count": count}
            for part in ("rows", "values", "more", "bytes"):
                size = self._spool.size(f"{column.key}.{part}")
                if size or (part == "rows" and count < self._features):
                    one[part] = at
                    at += _padded(size)
            one["size"] = self._spool.size(f"{column.key}.bytes")
            if kind == "words":
                one["words"] = len(column.words or ())
            described.append(one)
        return orjson.dumps({"id": described[0], "fields": described[1:]})

    def _id_kind(self) -> str:
        return "int" if self._ids.kinds == {"int"} else "text"

    def _close(self, column: _Column, kind: str, *, is_full: bool) -> None:
        if is_full:
            self._spool.forget(f"{column.key}.rows")
        if kind in {"text", "json"}:
            self._put(column, "values", np.array([column.written], dtype="<u8"))
        if kind == "words":
            coded = [_utf8(word) for word in column.words or ()]
            self._put(column, "more", np.cumsum([0, *map(len, coded)], dtype=np.uint64))
            self._spool.append(f"{column.key}.bytes", b"".join(coded))

    def content(self) -> Iterator[npt.NDArray[np.uint8]]:
        """The section ``columns`` in pieces, as ``directory`` describes it."""
        for column in (self._ids, *self._columns.values()):
            for part in ("rows", "values", "more", "bytes"):
                key = f"{column.key}.{part}"
                size = self._spool.size(key)
                for piece in self._spool.pieces(key):
                    yield np.frombuffer(piece, dtype=np.uint8)
                yield np.zeros(_padded(size) - size, dtype=np.uint8)


def _kind(value: object) -> str | None:
    """The form that one value asks for; None for what counts as no value."""
    match value:
        case bool():
            return "bool"
        case int():
            # Beyond 2 ** 53 an integer has no exact place among floats.
            wide = "wide" if value in _INT64 else "json"
            return "int" if -_SAFE <= value <= _SAFE else wide
        case float():
            return "float" if math.isfinite(value) else None
        case str():
            return "text"
        case _:
            return "json"


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _padded(size: int) -> int:
    return -(-size // _ALIGNED) * _ALIGNED
