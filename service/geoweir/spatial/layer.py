"""A reference layer as every worker holds it: a compiled file, mapped.

A join is exact. Points against surfaces are decided by the cells in the file; everything else by
GEOS on the few geometries whose boxes meet. Without the kernel, or where a file has no cells, GEOS
decides all of it, with equal answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, overload

import numpy as np
import numpy.typing as npt
import shapely

from geoweir.core.spec import LayerSpec
from geoweir.errors import ConfigurationError, GeoweirError
from geoweir.spatial.attributes import Attributes
from geoweir.spatial.boxes import Boxes
from geoweir.spatial.cells import Cells, Match, Pairs, Predicate
from geoweir.spatial.compiling.opening import opened_layer
from geoweir.spatial.crs import Geometries
from geoweir.spatial.file.advice import Advice, advice_for
from geoweir.spatial.file.format import LayerFileError
from geoweir.spatial.file.mapped import MappedFile
from geoweir.spatial.layerfile import ragged_of
from geoweir.spatial.ragged import SURFACES, Ragged
from geoweir.spatial.segments import SegmentIndex, build
from geoweir.spatial.shapes import Shapes, ShapesInFile, ShapesInMemory

__all__ = ["Advice", "Column", "Layer", "Match", "Predicate", "TooComplexError"]

_Indices = npt.NDArray[np.intp]

_POINT: Final = 0
#: Preparation doesn't help lines against lines; 1,200 by 1,200 crossing vertices took 2.3 s.
_MAX_PAIR: Final = 250_000  # vertices by vertices
_BATCH: Final = 1024  # pairs whose geometries are in memory at once
#: What is read in places that are far from each other.
_SCATTERED: Final = ("coordinates", "cell_lists")


class TooComplexError(GeoweirError):
    """A geometry and a layer's are together too large to be compared in bounded time."""


class Column(Sequence[Any]):
    """The values of one property, or the ids, by the feature's index; read when asked for."""

    def __init__(self, attributes: Attributes, field: str, length: int) -> None:
        self._attributes, self._field, self._length = attributes, field, length

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> Any: ...  # noqa: ANN401 - any JSON value
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return self.values(np.arange(self._length)[index])
        if not -self._length <= index < self._length:
            raise IndexError(index)
        return self.values(np.array([index % self._length]))[0]

    def values(self, indices: _Indices) -> list[Any]:
        """The values of some features; None where one doesn't have the property."""
        if self._field == "id":
            return self._attributes.ids(indices)
        return self._attributes.values(self._field, indices)


class Layer:
    """Features to join with; nothing in it changes.

    A feature's index is its place in the file, which is not that in the source.

    Attributes:
        name: as in the configuration.
        crs: what the geometries are in, x before y.
        version: the content's digest as hexadecimal digits: equal content, equal version.
        ids: the features' ids as text, by index.
        source: u4 (features,): each feature's number in its source, by index.
        repaired: how many geometries had to be repaired when compiled.
        has_cells: whether the kernel answers for points in surfaces.
    """

    def __init__(
        self, name: str, file: MappedFile, ragged: Ragged, *, use_kernel: bool = True
    ) -> None:
        """Use ``open``."""
        crs, repaired = file.meta.get("crs"), file.meta.get("repaired", 0)
        self.source = file.array("source", "<u4")
        if not isinstance(crs, str) or not isinstance(repaired, int) or _is_torn(ragged):
            raise LayerFileError("its description is damaged: compile it again")
        if len(self.source) != len(ragged):
            raise LayerFileError("its sections are of different lengths: compile it again")
        self.name, self.crs, self.repaired = name, crs, repaired
        self.version = file.header.version
        self._file = file
        self._attributes = Attributes.open(file)
        self.ids = Column(self._attributes, "id", len(ragged))
        self._ragged = ragged
        self._cells = Cells.open(file, ragged, self.source) if use_kernel else None
        self._is_mixed = bool((ragged.dimensions < SURFACES).any())
        boxes = Boxes.open(file) if use_kernel else None
        self._shapes: Shapes = (
            ShapesInMemory(ragged) if boxes is None else ShapesInFile(ragged, boxes)
        )

    def __repr__(self) -> str:
        return f"<Layer {self.name} {self.crs} features={len(self)} repaired={self.repaired}>"

    def __len__(self) -> int:
        return len(self.source)

    @classmethod
    def open(
        cls,
        name: str,
        file: MappedFile,
        advice: Advice | None = None,
        *,
        use_kernel: bool = True,
    ) -> Layer:
        """A layer of an open file, of which next to nothing is read.

        Args:
            name: as in the configuration.
            file: a mapped layer file.
            advice: ``random``: nothing is read ahead; by default so for a file of more than half
                of the memory.
            use_kernel: False leaves all to GEOS, as where there is no kernel.

        Raises:
            LayerFileError: the file holds no layer.
        """
        layer = cls(name, file, ragged_of(file), use_kernel=use_kernel)
        if (advice or advice_for(file.header.size)) == "random":
            for section in _SCATTERED:
                if section in file.header.sections:
                    file.advise(section, "random")
        return layer

    @classmethod
    def load(cls, spec: LayerSpec) -> Layer:
        """Compiles a layer if need be and opens it; ConfigurationError when that can't be done."""
        try:
            return cls.open(spec.name, opened_layer(spec))
        except LayerFileError as error:
            raise ConfigurationError(f"layer file {spec.path}: {error}") from error

    @property
    def has_cells(self) -> bool:
        """See the class."""
        return self._cells is not None

    @property
    def fields(self) -> list[str]:
        """The names of the properties that any feature has."""
        return self._attributes.fields

    def segments(self) -> SegmentIndex:
        """The index of segments, of the file or, where that has none, made here.

        Raises:
            ConfigurationError: there is no geographic CRS under the layer's.
            LayerFileError: the file is damaged there.
        """
        if "segments.runs" in self._file.header.sections:
            return SegmentIndex.open(self._file, self._ragged, self.crs)
        sections = build(self._ragged, self.crs)
        return SegmentIndex.of(sections, self._ragged, self.crs, self.source)

    def column(self, field: str) -> Column:
        """The values of a property, or of ``id``; KeyError where no feature has it."""
        if field != "id" and field not in self._attributes.fields:
            raise KeyError(field)
        return Column(self._attributes, field, len(self))

    def geometries(self, indices: _Indices) -> Geometries:
        """The prepared geometries of some features; None for a feature without one."""
        return self._shapes.prepared(indices)

    def join(self, geometries: Geometries, predicate: Predicate, match: Match) -> Pairs:
        """Pairs of (geometry, layer feature) indices for which the predicate holds.

        ``within`` is GEOS's: what lies only on a boundary is not within. Pairs are in ascending
        order of the geometry, then of the layer feature's number in its source; with ``first``
        only the lowest of the source stays. None, empty and non-finite geometries are in no pair.
        For an invalid polygon GEOS defines no answer: validate first.

        Args:
            geometries: one-dimensional object array, in the layer's CRS.
            predicate: what the geometry must be of the layer's.
            match: ``first`` or ``all``.

        Raises:
            TooComplexError: vertices by vertices of a pair go beyond the bound.
            LayerFileError: the file is damaged at a geometry that is needed.
            shapely.errors.GEOSException: GEOS gave up on one of the geometries.
        """
        is_point = shapely.get_type_id(geometries) == _POINT
        if self._cells is not None and is_point.all() and not self._is_mixed:
            return self._cells.locate(_positions(geometries), predicate, match)
        rest = self._by_geos(geometries, predicate, is_point & self.has_cells)
        if self._cells is None or not is_point.any():
            return _ordered(*rest, self.source, match)
        points = np.flatnonzero(is_point)
        mine, theirs = self._cells.locate(_positions(geometries[points]), predicate, "all")
        both = np.concatenate([points[mine], rest[0]]), np.concatenate([theirs, rest[1]])
        return _ordered(*both, self.source, match)

    def locate(self, points: npt.NDArray[np.float64], predicate: Predicate, match: Match) -> Pairs:
        """``join`` of points as f8 (n, 2), for those who have no geometries."""
        if self._cells is not None and not self._is_mixed:
            return self._cells.locate(points, predicate, match)
        return self.join(np.asarray(shapely.points(points)), predicate, match)

    def _by_geos(
        self, geometries: Geometries, predicate: Predicate, is_located: npt.NDArray[np.bool_]
    ) -> Pairs:
        """Pairs by GEOS, but for surfaces with those geometries that the cells locate."""
        usable = np.flatnonzero(_is_usable(geometries))
        mine, theirs = self._shapes.candidates(geometries[usable])
        mine = usable[mine]
        if is_located.any():
            open_ones = ~(is_located[mine] & (self._ragged.dimensions[theirs] == SURFACES))
            mine, theirs = mine[open_ones], theirs[open_ones]
        holds = np.zeros(len(mine), dtype=np.bool_)
        for start in range(0, len(mine), _BATCH):
            some = slice(start, start + _BATCH)
            holds[some] = self._holds(geometries[mine[some]], theirs[some], predicate)
        return mine[holds], theirs[holds]

    def _holds(
        self, geometries: Geometries, theirs: _Indices, predicate: Predicate
    ) -> npt.NDArray[np.bool_]:
        prepared = self._shapes.prepared(theirs)
        self._refuse_excess(geometries, prepared, theirs)
        test = shapely.contains if predicate == "within" else shapely.intersects
        return np.asarray(test(prepared, geometries))

    def _refuse_excess(
        self, geometries: Geometries, prepared: Geometries, theirs: _Indices
    ) -> None:
        counts = shapely.get_num_coordinates(prepared).astype(np.int64)
        product = shapely.get_num_coordinates(geometries) * counts
        is_surface = self._ragged.dimensions[theirs] == SURFACES
        excess = np.flatnonzero((product > _MAX_PAIR) & ~is_surface)
        if excess.size:
            raise TooComplexError(
                f"too complex to compare with {self.name}: {product[excess[0]]} pairs of vertices "
                f"with its feature {self.ids[int(theirs[excess[0]])]}, "
                f"at most {_MAX_PAIR} are allowed"
            )


def _is_torn(ragged: Ragged) -> bool:
    """Whether the arrays can't belong together."""
    return len(ragged.features) != len(ragged) + 1 or not len(ragged.parts) or not len(ragged.rings)


def _positions(points: Geometries) -> npt.NDArray[np.float64]:
    """f8 (points, 2); NaN for an empty one."""
    coordinates = shapely.get_coordinates(points)
    if len(coordinates) == len(points):
        return coordinates
    _, index = shapely.get_coordinates(points, return_index=True)
    positions = np.full((len(points), 2), np.nan)
    positions[index] = coordinates
    return positions


def _is_usable(geometries: Geometries) -> npt.NDArray[np.bool_]:
    """Which geometries have coordinates, all of them finite: GEOS finds NaN inside anything."""
    coordinates, index = shapely.get_coordinates(geometries, return_index=True)
    usable = np.zeros(len(geometries), dtype=np.bool_)
    usable[index] = True
    usable[index[~np.isfinite(coordinates).all(axis=1)]] = False
    return usable


def _ordered(
    mine: _Indices, theirs: _Indices, source: npt.NDArray[np.uint32], match: Match
) -> Pairs:
    """Pairs in the order that ``join`` promises."""
    order = np.lexsort((source[theirs], mine))
    mine, theirs = mine[order], theirs[order]
    if match == "all":
        return mine, theirs
    starts = np.ones(len(mine), dtype=np.bool_)
    starts[1:] = mine[1:] != mine[:-1]
    return mine[starts], theirs[starts]
