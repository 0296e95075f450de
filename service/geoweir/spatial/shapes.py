"""A layer's geometries for GEOS: a few at a time out of the file, or all of them in memory.

Both give candidates by box and prepared geometries: prepared on the layer's side, so that hostile
shapes stay cheap, too (two combs of 2,000 vertices took 16.8 s unprepared and 2 ms prepared).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
import shapely

from geoweir.spatial.boxes import Boxes
from geoweir.spatial.cells import Pairs
from geoweir.spatial.crs import Geometries
from geoweir.spatial.ragged import Ragged

__all__ = ["MAX_VERTICES", "Shapes", "ShapesInFile", "ShapesInMemory"]

_Indices = npt.NDArray[np.intp]

#: Of all the geometries that a worker keeps of a layer: some 20 MB when prepared.
MAX_VERTICES: Final = 200_000


class Shapes(Protocol):
    """The geometries of a layer."""

    def candidates(self, geometries: Geometries) -> Pairs:
        """Pairs of (geometry, feature) whose boxes meet; geometries are usable or None."""
        ...

    def prepared(self, indices: _Indices) -> Geometries:
        """The prepared geometries of some features; None for a feature without one."""
        ...


class ShapesInFile:
    """Geometries are made when they are candidates, and kept within a bound."""

    def __init__(self, ragged: Ragged, boxes: Boxes, max_vertices: int = MAX_VERTICES) -> None:
        self._ragged, self._boxes = ragged, boxes
        self._max_vertices = max_vertices
        self._kept: OrderedDict[int, shapely.Geometry | None] = OrderedDict()
        self.vertices = 0

    def candidates(self, geometries: Geometries) -> Pairs:
        """See ``Shapes``."""
        return self._boxes.meeting(shapely.bounds(geometries))

    def prepared(self, indices: _Indices) -> Geometries:
        """See ``Shapes``.

        Raises:
            LayerFileError: the file is damaged there.
        """
        wanted, place = np.unique(indices, return_inverse=True)
        made: Geometries = np.full(len(wanted), None, dtype=object)
        is_new = np.array([index not in self._kept for index in wanted.tolist()], dtype=np.bool_)
        made[is_new] = self._ragged.to_shapely(wanted[is_new])
        shapely.prepare(made)
        for position, index in enumerate(wanted.tolist()):
            if is_new[position]:
                self._keep(index, made[position])
            else:
                made[position] = self._kept[index]
                self._kept.move_to_end(index)
        self._forget()
        return made[place]

    def _keep(self, index: int, geometry: shapely.Geometry | None) -> None:
        self._kept[index] = geometry
        self.vertices += _cost(geometry)

    def _forget(self) -> None:
        """Lets go of what was not asked for the longest."""
        while self.vertices > self._max_vertices:
            _, geometry = self._kept.popitem(last=False)
            self.vertices -= _cost(geometry)


class ShapesInMemory:
    """All geometries and a tree over them, made when first asked: where there is no kernel."""

    def __init__(self, ragged: Ragged) -> None:
        self._ragged = ragged
        self._made: tuple[Geometries, shapely.STRtree] | None = None

    def candidates(self, geometries: Geometries) -> Pairs:
        """See ``Shapes``."""
        mine, theirs = self._all()[1].query(geometries)
        return mine, theirs

    def prepared(self, indices: _Indices) -> Geometries:
        """See ``Shapes``."""
        made: Geometries = self._all()[0][indices]
        return made

    def _all(self) -> tuple[Geometries, shapely.STRtree]:
        if self._made is None:
            geometries = self._ragged.to_shapely(np.arange(len(self._ragged)))
            shapely.prepare(geometries)
            self._made = geometries, shapely.STRtree(geometries)
        return self._made


def _cost(geometry: shapely.Geometry | None) -> int:
    """Vertices, and something for the objects themselves."""
    return int(shapely.get_num_coordinates(geometry)) + 8
