"""The geometries of a chunk: an array of positions while all are points, else shapely's.

A shapely point costs some 150 ns to make and as much to read; 128 of them cost more than a join. So
they are made when somebody asks for them, and from then on they are what the chunk has.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely

__all__ = ["GeometryColumn", "Positions"]

#: f8 (n, 3): x, y, z. No z is NaN; a null geometry has NaN as x and y, too.
Positions = npt.NDArray[np.float64]
_Objects = npt.NDArray[np.object_]
_Indices = npt.NDArray[np.intp]


class GeometryColumn:
    """One geometry for each feature, in one of the two forms."""

    __slots__ = ("_objects", "_positions")

    def __init__(
        self, *, positions: Positions | None = None, objects: _Objects | None = None
    ) -> None:
        """Takes one of the forms, and keeps it.

        Args:
            positions: as above; what is no null geometry has a finite x and y.
            objects: shapely geometries, None for a null one.
        """
        if (positions is None) == (objects is None):
            raise ValueError("a column has either positions or objects")
        self._positions = positions
        self._objects = objects

    def __len__(self) -> int:
        return len(self.objects if self._positions is None else self._positions)

    def __repr__(self) -> str:
        form = "objects" if self._positions is None else "positions"
        return f"<GeometryColumn {form}={len(self)}>"

    @property
    def positions(self) -> Positions | None:
        """The points, to be changed in place; None where they are objects."""
        return self._positions

    @property
    def objects(self) -> _Objects:
        """Shapely geometries, to be changed in place; the column has no positions any more."""
        if self._objects is None:
            assert self._positions is not None  # noqa: S101 - one of them is there
            self._objects = _points(self._positions)
            self._positions = None
        return self._objects

    def take(self, some: _Indices | npt.NDArray[np.bool_]) -> GeometryColumn:
        """A column of some of the geometries."""
        if self._positions is not None:
            return GeometryColumn(positions=self._positions[some])
        return GeometryColumn(objects=self.objects[some])

    def bounds(self) -> npt.NDArray[np.float64]:
        """f8 (n, 4): least x, least y, greatest x, greatest y; NaN for none and empty."""
        if self._positions is not None:
            return self._positions[:, [0, 1, 0, 1]]
        return np.asarray(shapely.bounds(self.objects))


def _points(positions: Positions) -> _Objects:
    built = np.full(len(positions), None, dtype=object)
    is_there = ~np.isnan(positions[:, 0])
    is_flat = np.isnan(positions[:, 2])
    for some, width in ((is_there & is_flat, 2), (is_there & ~is_flat, 3)):
        if some.any():
            built[some] = shapely.points(positions[some, :width])
    return built
