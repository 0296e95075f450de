"""Geometries as flat arrays: what a layer file holds and the kernel reads.

Three levels of offsets, whatever the type: a feature has parts, a part has rings (a polygon's
shell and holes; a line or a point is a part of one ring), a ring has vertices. It is the layout of
GeoArrow's MultiPolygon, used for every type so that nobody who reads it has to branch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import shapely

from geoweir.spatial.file.format import LayerFileError

__all__ = ["LINES", "POINTS", "SURFACES", "Ragged"]

_Geometries = npt.NDArray[np.object_]
_Offsets = npt.NDArray[np.uint64]

#: Dimensions, as in ``Ragged.dimensions``.
POINTS: Final = 0
LINES: Final = 1
SURFACES: Final = 2
_NONE: Final = 255
_POLYGON: Final = 3
_FEWEST: Final = 4  # vertices of a closed ring


@dataclass(frozen=True, slots=True, eq=False)
class Ragged:
    """Features as arrays; x before y, z left out.

    Attributes:
        dimensions: u1 (features,): 0 points, 1 lines, 2 surfaces, 255 without a geometry.
        features: u8 (features + 1,): where each feature's parts begin.
        parts: u8 (parts + 1,): where each part's rings begin.
        rings: u8 (rings + 1,): where each ring's vertices begin.
        coordinates: f8 (vertices, 2): rings of surfaces are closed, the first vertex repeated.
    """

    dimensions: npt.NDArray[np.uint8]
    features: _Offsets
    parts: _Offsets
    rings: _Offsets
    coordinates: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.dimensions)

    @classmethod
    def from_shapely(cls, geometries: _Geometries) -> Ragged:
        """Arrays of geometries that each have parts of one dimension only; None is allowed."""
        parts, feature = shapely.get_parts(geometries, return_index=True)
        filled = ~shapely.is_empty(parts)  # shapely crashes on a part without vertices
        parts, feature = parts[filled], feature[filled]
        is_surface = shapely.get_type_id(parts) == _POLYGON
        shells, surface = shapely.get_rings(parts[is_surface], return_index=True)
        part = np.concatenate([np.flatnonzero(is_surface)[surface], np.flatnonzero(~is_surface)])
        order = np.argsort(part, kind="stable")
        rings = np.concatenate([shells, parts[~is_surface]])[order]
        coordinates, ring = shapely.get_coordinates(rings, return_index=True)
        dimensions = shapely.get_dimensions(geometries).astype(np.int64)
        return cls(
            dimensions=np.where(dimensions < 0, _NONE, dimensions).astype(np.uint8),
            features=_offsets(feature, len(geometries)),
            parts=_offsets(part, len(parts)),
            rings=_offsets(ring, len(rings)),
            coordinates=coordinates,
        )

    def to_shapely(self, some: npt.NDArray[np.intp]) -> _Geometries:
        """The geometries of some features; one of one part is no Multi-geometry, of none None.

        Raises:
            LayerFileError: what the arrays hold there are no geometries.
        """
        made: _Geometries = np.full(len(some), None, dtype=object)
        has_parts = self.features[1:][some] != self.features[:-1][some]
        for dimension in (POINTS, LINES, SURFACES):
            where = np.flatnonzero((self.dimensions[some] == dimension) & has_parts)
            if where.size:
                made[where] = self._made(some[where], dimension)
        return made

    def boxes(self) -> npt.NDArray[np.float64]:
        """f8 (features, 4): least x, least y, greatest x, greatest y; NaN without vertices."""
        boxes = np.full((len(self), 4), np.nan)
        starts = self.rings[self.parts[self.features]].astype(np.intp)
        filled = np.flatnonzero(starts[1:] > starts[:-1])
        if filled.size:
            at = starts[:-1][filled]
            used = self.coordinates[: starts[-1]]
            boxes[filled, :2] = np.minimum.reduceat(used, at)
            boxes[filled, 2:] = np.maximum.reduceat(used, at)
        return boxes

    def take(self, some: npt.NDArray[np.intp]) -> Ragged:
        """Some features, in the order given; LayerFileError where offsets lead astray."""
        repeats = len(some) - len(np.unique(some)) + 1
        features, part = _gathered(self.features, some, len(self.parts) - 1, repeats)
        parts, ring = _gathered(self.parts, part, len(self.rings) - 1, repeats)
        rings, vertex = _gathered(self.rings, ring, len(self.coordinates), repeats)
        return Ragged(self.dimensions[some], features, parts, rings, self.coordinates[vertex])

    def is_whole(self, dimension: int) -> bool:
        """Whether these are geometries of one dimension that may be given to GEOS.

        It crashes on rings without vertices and on some with NaN. Offsets are those of ``take``.
        """
        sizes, rings = np.diff(self.rings), np.diff(self.parts)
        if not np.isfinite(self.coordinates).all():
            return False
        if dimension == SURFACES:
            if not ((rings > 0).all() and (sizes >= _FEWEST).all()):
                return False
            first = self.coordinates[self.rings[:-1]]
            return bool((first == self.coordinates[self.rings[1:] - 1]).all())
        fits = sizes == 1 if dimension == POINTS else sizes > 1
        return bool((rings == 1).all() and fits.all())

    def _made(self, some: npt.NDArray[np.intp], dimension: int) -> _Geometries:
        one = self.take(some)
        if not one.is_whole(dimension):
            raise LayerFileError("a geometry in it is damaged: compile it again")
        offsets: tuple[Any, ...]
        if dimension == POINTS:
            kind, offsets = shapely.GeometryType.MULTIPOINT, (one.features,)
        elif dimension == LINES:
            kind, offsets = shapely.GeometryType.MULTILINESTRING, (one.rings, one.features)
        else:
            kind = shapely.GeometryType.MULTIPOLYGON
            offsets = (one.rings, one.parts, one.features)
        signed = tuple(each.astype(np.int64) for each in offsets)
        made: _Geometries = shapely.from_ragged_array(kind, one.coordinates, signed)
        single = np.flatnonzero(np.diff(one.features) == 1)
        made[single] = shapely.get_geometry(made[single], 0)
        return made


def _offsets(owner: npt.NDArray[Any], owners: int) -> _Offsets:
    """Where each owner's items begin; ``owner`` ascends."""
    counts = np.bincount(owner, minlength=owners)
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.uint64)


def _gathered(
    offsets: _Offsets, some: npt.NDArray[np.intp], items: int, repeats: int
) -> tuple[_Offsets, npt.NDArray[np.intp]]:
    """New offsets of some owners, and the indices of their items.

    Args:
        offsets: where each owner's items begin; not trusted.
        some: owners.
        items: how many items there are.
        repeats: how often an owner is in ``some`` at most: no item is in two of them.
    """
    starts = offsets[:-1][some].astype(np.intp)
    counts = offsets[1:][some].astype(np.intp) - starts
    new = np.concatenate([[0], np.cumsum(counts)])
    astray = (starts < 0) | (counts < 0) | (counts > items) | (starts > items - counts)
    if astray.any() or new[-1] > items * repeats:
        raise LayerFileError("an offset in it is damaged: compile it again")
    index = np.repeat(starts - new[:-1], counts) + np.arange(new[-1])
    return new.astype(np.uint64), index
