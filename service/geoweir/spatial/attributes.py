"""Ids and properties of a layer file's features, read where they stand: see ``columns``.

Opening reads the list of fields and nothing of the columns. Nothing that stands in the file is
trusted: a damaged one gives wrong values or a LayerFileError.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import orjson

from geoweir.spatial import exactjson
from geoweir.spatial.columns import ARRAYS
from geoweir.spatial.file.format import LayerFileError
from geoweir.spatial.file.mapped import MappedFile

__all__ = ["Attributes"]

_Bytes = npt.NDArray[np.uint8]
_Indices = npt.NDArray[np.intp]
_Array = npt.NDArray[Any]

_LONGEST: Final = 1 << 28  # bytes of one text


@dataclass(frozen=True, slots=True, eq=False)
class _Column:
    """One field's arrays, still in the file."""

    kind: str
    rows: npt.NDArray[np.uint32] | None
    values: _Array
    more: _Array
    texts: _Bytes

    def get(self, indices: _Indices) -> list[Any]:
        """The values of features that need not have one."""
        if self.rows is None:
            return self._decoded(indices)
        found: list[Any] = [None] * len(indices)
        if len(self.rows):
            # In the column's own dtype: else numpy would convert the whole column.
            at = np.searchsorted(self.rows, indices.astype(np.uint32))
            at = np.minimum(at, len(self.rows) - 1)
            present = np.flatnonzero(self.rows[at] == indices)
            for index, value in zip(present.tolist(), self._decoded(at[present]), strict=True):
                found[index] = value
        return found

    def _decoded(self, at: _Indices) -> list[Any]:
        match self.kind:
            case "bool":
                return [value != 0 for value in self.values[at].tolist()]
            case "number":
                pairs = zip(self.values[at].tolist(), self.more[at].tolist(), strict=True)
                return [_whole(value) if is_whole else value for value, is_whole in pairs]
            case "words":
                return self._words(self.values[at])
            case "text":
                return self._texts(self.values[at], self.values[at + 1])
            case "json":
                texts = self._slices(self.values[at], self.values[at + 1])
                return [_json(text) for text in texts]
            case _:
                plain: list[Any] = self.values[at].tolist()
                return plain

    def _words(self, codes: npt.NDArray[np.uint16]) -> list[str]:
        at = codes.astype(np.intp)
        if at.size and int(at.max()) >= len(self.more) - 1:
            raise _damaged()
        return self._texts(self.more[at], self.more[at + 1])

    def _texts(self, starts: _Array, ends: _Array) -> list[str]:
        return [text.decode("utf-8", "replace") for text in self._slices(starts, ends)]

    def _slices(self, starts: _Array, ends: _Array) -> list[bytes]:
        lawful = (starts <= ends) & (ends <= len(self.texts))
        if not (lawful & (ends - starts <= _LONGEST)).all():
            raise _damaged()
        pairs = zip(starts.tolist(), ends.tolist(), strict=True)
        return [self.texts[start:end].tobytes() for start, end in pairs]


class Attributes:
    """The columns of an open layer file.

    Attributes:
        fields: the names of the properties that some feature has.
    """

    def __init__(self, features: int, directory: dict[str, Any], content: _Bytes) -> None:
        self._features = features
        self._content = content
        self._ids = self._column(directory.get("id"))
        listed = directory.get("fields")
        if not isinstance(listed, list):
            raise _damaged()
        self._described = {str(one.get("name")): one for one in listed if isinstance(one, dict)}
        self._opened: dict[str, _Column] = {}
        self.fields = list(self._described)

    @classmethod
    def open(cls, file: MappedFile) -> Self:
        """Reads the list of fields; LayerFileError where it makes no sense."""
        try:
            directory = orjson.loads(bytes(file.array("fields", "u1")))
        except orjson.JSONDecodeError as error:
            raise _damaged() from error
        if not isinstance(directory, dict):
            raise _damaged()
        return cls(len(file.array("source", "<u4")), directory, file.array("columns", "u1"))

    def ids(self, indices: _Indices) -> list[str]:
        """The ids of features, as text.

        Args:
            indices: of features in the file's order, each below their number; else IndexError.
        """
        return [str(value) for value in self._ids.get(_checked(indices, self._features))]

    def values(self, field: str, indices: _Indices) -> list[Any]:
        """A property of features as it was in the source, None where there is none.

        Args:
            field: one of ``fields``, else KeyError.
            indices: as above.

        Raises:
            LayerFileError: the column is damaged.
        """
        column = self._opened.get(field)
        if column is None:
            column = self._opened[field] = self._column(self._described[field])
        return column.get(_checked(indices, self._features))

    def _column(self, said: object) -> _Column:
        if not isinstance(said, dict) or said.get("kind") not in [*ARRAYS]:  # of any JSON type
            raise _damaged()
        kind, count = said["kind"], _natural(said.get("count"))
        values, more = ARRAYS[kind]
        is_sparse = "rows" in said
        if not is_sparse and count != self._features:
            raise _damaged()
        return _Column(
            kind=kind,
            rows=self._array(said, "rows", "<u4", count) if is_sparse else None,
            values=self._array(said, "values", values, count + (kind in {"text", "json"})),
            more=self._array(said, "more", more, _more(said, kind, count)),
            texts=self._array(said, "bytes", "u1", _natural(said.get("size"))),
        )

    def _array(self, said: dict[str, Any], part: str, dtype: str | None, count: int) -> _Array:
        if dtype is None or not count:
            return np.empty(0, dtype=np.uint8 if dtype is None else dtype)
        at = _natural(said.get(part))
        size = count * np.dtype(dtype).itemsize
        if at % 8 or at + size > len(self._content):
            raise _damaged()
        return self._content[at : at + size].view(dtype)


def _more(said: dict[str, Any], kind: str, count: int) -> int:
    return _natural(said.get("words")) + 1 if kind == "words" else count


def _natural(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _damaged()
    return value


def _checked(indices: _Indices, features: int) -> _Indices:
    if indices.size and not 0 <= int(indices.min()) <= int(indices.max()) < features:
        raise IndexError("no such feature")
    return indices


def _whole(value: float) -> int:
    try:
        return int(value)
    except (ValueError, OverflowError) as error:
        raise _damaged() from error


def _json(text: bytes) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return exactjson.loads(text)
    except ValueError as error:
        raise _damaged() from error


def _damaged() -> LayerFileError:
    return LayerFileError("its columns are damaged: compile it again")
