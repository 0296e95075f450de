"""The chunk as a user's own step sees it: copies of the columns, and two verbs."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["UserChunk"]


class UserChunk:
    """Features of one chunk; index i is the same feature in every column.

    Attributes:
        ids: the ids as text, read only.
        properties: one dict per feature, which may be changed or replaced.
        dropped: features that the step dropped.
        failed: messages of the features that the step failed.
    """

    def __init__(
        self,
        *,
        ids: list[str],
        properties: list[dict[str, Any]],
        geometry: npt.NDArray[np.object_],
        crs: str,
    ) -> None:
        self.ids = ids
        self.properties = properties
        self.dropped: set[int] = set()
        self.failed: dict[int, str] = {}
        self._geometry = geometry
        self._crs = crs
        self._size = len(ids)

    def __len__(self) -> int:
        return self._size

    def __repr__(self) -> str:
        return f"<chunk of {self._size} features in {self._crs}>"

    @property
    def crs(self) -> str:
        """The CRS of the geometries, for example ``EPSG:4326``; x before y."""
        return self._crs

    @property
    def geometry(self) -> npt.NDArray[np.object_]:
        """Shapely geometries, None for a null geometry; elements and the whole may be replaced."""
        return self._geometry

    @geometry.setter
    def geometry(self, geometries: Sequence[object] | npt.NDArray[np.object_]) -> None:
        if len(geometries) != self._size:
            raise ValueError(f"the chunk has {self._size} features, not {len(geometries)}")
        column: npt.NDArray[np.object_] = np.empty(self._size, dtype=object)
        column[:] = geometries
        self._geometry = column

    def drop(self, i: int) -> None:
        """Makes feature i filtered, with the reason ``step``."""
        self.dropped.add(self._index(i))

    def fail(self, i: int, message: str) -> None:
        """Makes feature i's result an error with this message; stronger than ``drop``."""
        self.failed[self._index(i)] = str(message)

    def _index(self, i: int) -> int:
        index = operator.index(i)
        if not 0 <= index < self._size:
            raise IndexError(f"the chunk has {self._size} features, there is no number {index}")
        return index
