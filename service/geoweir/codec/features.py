"""A chunk of features in columns: what decoders make, steps change and encoders write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from geoweir.codec.column import GeometryColumn, Positions

__all__ = ["Features"]


@dataclass(slots=True)
class Features:
    """Features of one chunk; every column has one entry per feature.

    Attributes:
        inputs: index of the input that each feature came from, int32, ascending.
        ids: the ids as text, for topics and keys (a JSON number's id is its literal text).
        id_literals: the ids as JSON, byte for byte as they came, for the result's ``id`` member.
        times: fix times as Unix seconds, None where the stream or the feature has none.
        column: the geometries, in either form; see ``geometry`` and ``positions``.
        properties: the properties; a step may change or replace each dict.
        crs: the CRS that every geometry is in now.
        errors: None, or what made the feature's result an error; steps skip such features.
        filtered: None, or the reason (of the closed list) why the feature is dropped.
        repaired: None, or what ``validate`` did.
    """

    inputs: npt.NDArray[np.int32]
    ids: list[str]
    id_literals: list[bytes]
    times: list[float | None]
    column: GeometryColumn
    properties: list[dict[str, Any]]
    crs: str
    errors: list[str | None]
    filtered: list[str | None]
    repaired: list[str | None]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def geometry(self) -> npt.NDArray[np.object_]:
        """Shapely geometries, None for a null one, to be changed in place.

        Points become objects by this, for this step and all that follow: ask ``positions`` first.
        """
        return self.column.objects

    @property
    def positions(self) -> Positions | None:
        """Where all are points (or null): f8 (n, 3) to be changed in place, else None.

        x, y, z in ``crs``; no z is NaN, and a null geometry has NaN as x and y, too.
        """
        return self.column.positions

    def alive(self) -> npt.NDArray[np.intp]:
        """Indices of the features that steps still work on: neither in error nor filtered."""
        if self.errors.count(None) + self.filtered.count(None) == 2 * len(self):
            return np.arange(len(self))  # as it nearly always is, and eight times faster
        return np.flatnonzero(
            [
                error is None and reason is None
                for error, reason in zip(self.errors, self.filtered, strict=True)
            ]
        )
