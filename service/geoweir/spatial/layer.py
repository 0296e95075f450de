"""A reference layer as every worker holds it: prepared geometries, an index, and columns.

A join is exact: the index gives candidates by box, GEOS decides. Points are tested by coordinates
against prepared geometries (128 points against 3,230 counties: 183 µs, against 2,534 µs one by
one), other geometries with the layer's side prepared, which also keeps hostile shapes cheap: two
combs of 2,000 vertices took 16.8 s unprepared and 2 ms prepared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import orjson
import shapely

from geoweir.core.spec import LayerSpec
from geoweir.errors import GeoweirError
from geoweir.spatial.crs import Geometries
from geoweir.spatial.file.format import LayerFileError
from geoweir.spatial.file.mapped import MappedFile
from geoweir.spatial.layerfile import ragged_of
from geoweir.spatial.source import LayerSource, read_source

__all__ = ["Layer", "Match", "Predicate", "TooComplexError"]

Predicate = Literal["within", "intersects"]
Match = Literal["first", "all"]
_Indices = npt.NDArray[np.intp]
_Pairs = tuple[_Indices, _Indices]

_POINT: Final = 0
_SURFACE: Final = 2
#: Preparation doesn't help lines against lines; 1,200 by 1,200 crossing vertices took 2.3 s.
_MAX_PAIR: Final = 250_000  # vertices by vertices


class TooComplexError(GeoweirError):
    """A geometry and a layer's are together too large to be compared in bounded time."""


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """Features to join with; nothing in it changes after ``load``.

    Attributes:
        name: as in the configuration.
        crs: what the geometries are in, x before y.
        ids: the features' ids as text, in the order of the file.
        attributes: a column per property; None where a feature doesn't have it.
        geometries: prepared geometries (object array), None for a feature without one.
        repaired: how many of them had to be repaired when read.
        version: the content's digest as hexadecimal digits: equal content, equal version.
    """

    name: str
    crs: str
    ids: list[str]
    attributes: dict[str, list[Any]]
    geometries: Geometries
    tree: shapely.STRtree
    vertices: npt.NDArray[np.int32]
    is_surface: npt.NDArray[np.bool_]
    repaired: int
    version: str = ""

    def __repr__(self) -> str:
        return f"<Layer {self.name} {self.crs} features={len(self)} repaired={self.repaired}>"

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def load(cls, spec: LayerSpec) -> Layer:
        """Reads, prepares and indexes a layer; ConfigurationError when that can't be done.

        PROJ is left alone, so that a process may load layers and then fork: whether the CRS is
        known shows when KnownCrs is made.
        """
        return cls.build(spec.name, spec.crs, read_source(spec.path))

    @classmethod
    def open(cls, name: str, file: MappedFile) -> Layer:
        """The layer in a mapped file; LayerFileError where there is none."""
        if file.header.kind != "layer":
            raise LayerFileError(f"it holds a {file.header.kind}, not a layer")
        numbers = file.array("source", "<u4")
        order = np.argsort(numbers)
        rows = orjson.loads(bytes(file.array("rows", "u1")))
        source = LayerSource(
            ids=[rows[index]["id"] for index in order],
            properties=[rows[index]["properties"] for index in order],
            geometries=ragged_of(file).to_shapely(order),
            repaired=file.meta["repaired"],
        )
        return cls.build(name, file.meta["crs"], source, file.header.version)

    @classmethod
    def build(cls, name: str, crs: str, source: LayerSource, version: str = "") -> Layer:
        """Prepares and indexes what was read."""
        shapely.prepare(source.geometries)
        tree = shapely.STRtree(source.geometries)
        tree.query(shapely.Point(0, 0))  # the tree is built by its first query
        return cls(
            name=name,
            crs=crs,
            ids=source.ids,
            attributes=_columns(source.properties),
            geometries=source.geometries,
            tree=tree,
            vertices=shapely.get_num_coordinates(source.geometries),
            is_surface=shapely.get_dimensions(source.geometries) == _SURFACE,
            repaired=source.repaired,
            version=version,
        )

    def column(self, field: str) -> list[Any]:
        """The values of a property, or of ``id``; KeyError where no feature has it."""
        return self.ids if field == "id" else self.attributes[field]

    def join(self, geometries: Geometries, predicate: Predicate, match: Match) -> _Pairs:
        """Pairs of (feature, layer feature) indices for which the predicate holds.

        ``within`` is GEOS's: what lies only on a boundary is not within. Pairs are in ascending
        order of the feature, then of the layer's feature; with ``first`` only the lowest of the
        layer stays. None, empty and non-finite geometries are in no pair. For an invalid polygon
        GEOS defines no answer: validate first.

        Args:
            geometries: one-dimensional object array, in the layer's CRS.
            predicate: what the feature must be of the layer's.
            match: ``first`` or ``all``.

        Raises:
            TooComplexError: vertices by vertices of a pair go beyond the bound.
            shapely.errors.GEOSException: GEOS gave up on one of the geometries.
        """
        usable = np.flatnonzero(_is_usable(geometries))
        mine, theirs = self.tree.query(geometries[usable])
        mine = usable[mine]
        holds = np.zeros(len(mine), dtype=np.bool_)
        is_point = shapely.get_type_id(geometries[mine]) == _POINT
        holds[is_point] = self._points(geometries[mine[is_point]], theirs[is_point], predicate)
        holds[~is_point] = self._shapes(geometries[mine[~is_point]], theirs[~is_point], predicate)
        mine, theirs = mine[holds], theirs[holds]
        order = np.lexsort((theirs, mine))
        return (
            _firsts(mine[order], theirs[order])
            if match == "first"
            else (mine[order], theirs[order])
        )

    def _points(
        self, points: Geometries, theirs: _Indices, predicate: Predicate
    ) -> npt.NDArray[np.bool_]:
        test = shapely.contains_xy if predicate == "within" else shapely.intersects_xy
        coordinates = shapely.get_coordinates(points)
        return np.asarray(test(self.geometries[theirs], coordinates[:, 0], coordinates[:, 1]))

    def _shapes(
        self, shapes: Geometries, theirs: _Indices, predicate: Predicate
    ) -> npt.NDArray[np.bool_]:
        self._refuse_excess(shapes, theirs)
        test = shapely.contains if predicate == "within" else shapely.intersects
        return np.asarray(test(self.geometries[theirs], shapes))

    def _refuse_excess(self, shapes: Geometries, theirs: _Indices) -> None:
        product = shapely.get_num_coordinates(shapes).astype(np.int64) * self.vertices[theirs]
        excess = np.flatnonzero((product > _MAX_PAIR) & ~self.is_surface[theirs])
        if excess.size:
            raise TooComplexError(
                f"too complex to compare with {self.name}: {product[excess[0]]} pairs of vertices "
                f"with its feature {self.ids[theirs[excess[0]]]}, at most {_MAX_PAIR} are allowed"
            )


def _columns(properties: list[dict[str, Any]]) -> dict[str, list[Any]]:
    names = dict.fromkeys(name for row in properties for name in row)
    return {name: [row.get(name) for row in properties] for name in names}


def _is_usable(geometries: Geometries) -> npt.NDArray[np.bool_]:
    """Which geometries have coordinates, all of them finite: GEOS finds NaN inside anything."""
    coordinates, index = shapely.get_coordinates(geometries, return_index=True)
    usable = np.zeros(len(geometries), dtype=np.bool_)
    usable[index] = True
    usable[index[~np.isfinite(coordinates).all(axis=1)]] = False
    return usable


def _firsts(mine: _Indices, theirs: _Indices) -> _Pairs:
    """The first of each run of equal ``mine``."""
    starts = np.ones(len(mine), dtype=np.bool_)
    starts[1:] = mine[1:] != mine[:-1]
    return mine[starts], theirs[starts]
