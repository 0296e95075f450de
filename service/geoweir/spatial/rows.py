"""The attributes in the section ``rows``: JSON, read as a whole when the first is asked for.

It stands in until attributes are columns.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from geoweir.spatial.file.mapped import MappedFile

__all__ = ["Rows"]


class Rows:
    """What the features are called and have besides a geometry, by their place in the file."""

    def __init__(self, file: MappedFile) -> None:
        self._file = file
        self._read: list[dict[str, Any]] | None = None

    @classmethod
    def open(cls, file: MappedFile) -> Rows:
        """The attributes of an open file; nothing is read."""
        return cls(file)

    @property
    def fields(self) -> list[str]:
        """The names of the properties that any feature has."""
        return list(dict.fromkeys(name for row in self._rows() for name in row["properties"]))

    def ids(self, indices: npt.NDArray[np.intp]) -> list[str]:
        """The ids of some features."""
        rows = self._rows()
        return [rows[index]["id"] for index in indices.tolist()]

    def values(self, field: str, indices: npt.NDArray[np.intp]) -> list[Any]:
        """A property of some features; None where one doesn't have it."""
        rows = self._rows()
        return [rows[index]["properties"].get(field) for index in indices.tolist()]

    def _rows(self) -> list[dict[str, Any]]:
        if self._read is None:
            self._read = orjson.loads(bytes(self._file.array("rows", "u1")))
        return self._read
