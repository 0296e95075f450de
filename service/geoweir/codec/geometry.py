"""GeoJSON geometries to arrays, a whole chunk at a time.

First each geometry is checked in plain Python and becomes a *sketch* (its kind and its
coordinates); nothing hostile gets further: depth, vertices and structure are bounded there. Then
all sketches of a chunk are built together: points as an array of positions, all else as shapely's.
No text parser of GEOS ever sees a payload.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import shapely

from geoweir.codec.column import GeometryColumn
from geoweir.codec.reach import Reach
from geoweir.core.spec import Limits
from geoweir.errors import SenderError

__all__ = ["Sketch", "build", "column", "point_sketch", "sketch"]

#: A checked geometry: its kind, and its coordinates as that kind has them.
Sketch = tuple[int, Any]

FloatArray = npt.NDArray[np.float64]
GeometryArray = npt.NDArray[np.object_]


_POINT, _LINE, _POLYGON, _POINTS, _LINES, _POLYGONS, _COLLECTION = range(7)
_KINDS: Final = {
    "Point": _POINT,
    "LineString": _LINE,
    "Polygon": _POLYGON,
    "MultiPoint": _POINTS,
    "MultiLineString": _LINES,
    "MultiPolygon": _POLYGONS,
}
_EMPTY: Final = (
    shapely.Point(),
    shapely.LineString(),
    shapely.Polygon(),
    shapely.MultiPoint(),
    shapely.MultiLineString(),
    shapely.MultiPolygon(),
    shapely.GeometryCollection(),
)
_COMPOSERS: Final[dict[int, Any]] = {
    _POINTS: shapely.multipoints,
    _LINES: shapely.multilinestrings,
    _POLYGONS: shapely.multipolygons,
}
_NUMBERS: Final = frozenset({int, float})
_NOWHERE: Final = (math.nan, math.nan, math.nan)
_LEAST_LINE: Final = 2  # positions
_LEAST_RING: Final = 4


def point_sketch(x: float, y: float, z: float | None) -> Sketch:
    """The sketch of a point."""
    return _POINT, (x, y, math.nan if z is None else z)


def sketch(geometry: object, limits: Limits) -> Sketch | None:
    """Checks one GeoJSON geometry; None for null.

    Positions may have two or three ordinates, further ones are dropped.

    Raises:
        SenderError: ``geometry`` for an unknown type or malformed coordinates, ``depth`` and
            ``vertices`` for more than the limits allow.
    """
    if geometry is None:
        return None
    if type(geometry) is dict and geometry.get("type") == "Point":
        return _POINT, _position(geometry.get("coordinates"))
    try:
        return _Sketcher(limits).sketch(geometry, depth=1)
    except RecursionError:
        raise _too_deep(limits) from None


def _too_deep(limits: Limits) -> SenderError:
    return SenderError("depth", f"GeometryCollections are nested more than {limits.depth} deep.")


def _out_of_reach() -> SenderError:
    return SenderError("coordinate", "A coordinate is not finite or out of range.")


def _malformed(what: str) -> SenderError:
    return SenderError("geometry", what)


def _listed(value: object) -> list[Any]:
    if type(value) is not list:
        raise _malformed("The coordinates are not the lists that their type asks for.")
    return value


def _position(value: object) -> tuple[float, float, float] | None:
    """One position as x, y, z (NaN for none); None for an empty one."""
    position = _listed(value)
    match len(position):
        case 2:
            x, y = position
            z = math.nan
        case 0:
            return None
        case 1:
            raise _malformed("A position has fewer than two numbers.")
        case _:
            x, y, z = position[:3]
    if type(x) in _NUMBERS and type(y) in _NUMBERS and type(z) in _NUMBERS:
        return x, y, z
    raise _malformed("A position holds something else than numbers.")


class _Sketcher:
    """Checks one geometry against the limits, counting vertices on the way."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._vertices = 0

    def sketch(self, geometry: object, depth: int) -> Sketch:
        if type(geometry) is not dict:
            raise _malformed("The geometry is not an object.")
        name = geometry.get("type")
        if name == "GeometryCollection":
            return self._collection(geometry, depth)
        kind = _KINDS.get(name) if type(name) is str else None
        if kind is None:
            raise _malformed("The geometry's type is not one of GeoJSON's seven.")
        return kind, self._coordinates(kind, geometry.get("coordinates"))

    def _collection(self, geometry: dict[str, Any], depth: int) -> Sketch:
        if depth > self._limits.depth:
            raise _too_deep(self._limits)
        members = geometry.get("geometries")
        if type(members) is not list:
            raise _malformed("A GeometryCollection has no list of geometries.")
        self._count(len(members))
        return _COLLECTION, [self.sketch(member, depth + 1) for member in members]

    def _coordinates(self, kind: int, value: object) -> Any:  # noqa: ANN401 - depends on the kind
        match kind:
            case 0:
                self._count(1)
                return _position(value)
            case 1:
                return self._line(value, _LEAST_LINE)
            case 2:
                return [self._ring(ring) for ring in _listed(value)]
            case _:
                part = kind - _POINTS
                return [self._coordinates(part, member) for member in _listed(value)]

    def _count(self, vertices: int) -> None:
        # What has no vertices counts as one, so that empty parts are bounded too.
        self._vertices += max(vertices, 1)
        if self._vertices > self._limits.vertices:
            raise SenderError(
                "vertices", f"One feature has more than {self._limits.vertices} vertices."
            )

    def _line(self, value: object, least: int) -> FloatArray:
        positions = _listed(value)
        self._count(len(positions))
        if not positions:
            return np.empty((0, 2))
        if set(map(type, positions)) != {list}:
            raise _malformed("The coordinates are not the lists that their type asks for.")
        if len(positions) < least:
            raise _malformed(f"A line or ring has fewer than {least} positions.")
        widths = set(map(len, positions))
        if min(widths) < 2:  # noqa: PLR2004 - x and y
            raise _malformed("A position has fewer than two numbers.")
        if not _NUMBERS.issuperset(map(type, chain.from_iterable(positions))):
            raise _malformed("A position holds something else than numbers.")
        if len(widths) > 1 or max(widths) > 3:  # noqa: PLR2004 - x, y and z
            positions = [_position(position) for position in positions]
        return np.array(positions, dtype=np.float64)

    def _ring(self, value: object) -> FloatArray:
        ring = self._line(value, _LEAST_RING)
        if not len(ring):
            raise _malformed(f"A line or ring has fewer than {_LEAST_RING} positions.")
        if ring[0, 0] != ring[-1, 0] or ring[0, 1] != ring[-1, 1]:
            raise _malformed("A ring is not closed: its last position is not its first.")
        return ring


def column(
    sketches: Sequence[Sketch | None], reach: Reach
) -> tuple[GeometryColumn, dict[int, SenderError]]:
    """The geometries of a chunk: positions where all are points, else as ``build`` makes them."""
    positions = _positions(sketches)
    if positions is None:
        geometry, faults = build(sketches, reach)
        return GeometryColumn(objects=geometry), faults
    rows = [row for row, one in enumerate(sketches) if one is not None]
    with np.errstate(invalid="ignore"):
        far = _beyond(positions[rows], reach, rows)
    return GeometryColumn(positions=positions), {row: _out_of_reach() for row in far}


def _positions(sketches: Sequence[Sketch | None]) -> FloatArray | None:
    """Positions as a column has them; None where not all are points that have one."""
    found = []
    for one in sketches:
        kind, coordinates = one or (_POINT, _NOWHERE)
        if kind != _POINT or coordinates is None:
            return None
        found.append(coordinates)
    return np.array(found, dtype=np.float64).reshape(-1, 3)


def build(
    sketches: Sequence[Sketch | None], reach: Reach
) -> tuple[GeometryArray, dict[int, SenderError]]:
    """Builds all geometries of a chunk together.

    Args:
        sketches: checked geometries, None for null.
        reach: how far from zero an ordinate may be.

    Returns:
        One geometry per sketch (None for null), and what is wrong by index: ``coordinate`` for an
        ordinate that is not finite or out of reach, ``geometry`` for what GEOS refuses.
    """
    try:
        with np.errstate(invalid="ignore"):  # a NaN in z is ours, and means none
            return _Plan(sketches).build(reach)
    except (shapely.errors.ShapelyError, ValueError):
        return _build_each(sketches, reach)


def _build_each(
    sketches: Sequence[Sketch | None], reach: Reach
) -> tuple[GeometryArray, dict[int, SenderError]]:
    """Builds one by one after the whole failed, so that only the culprit is at fault."""
    built = np.full(len(sketches), None, dtype=object)
    faults: dict[int, SenderError] = {}
    for row, one in enumerate(sketches):
        try:
            geometry, fault = _Plan([one]).build(reach)
        except (shapely.errors.ShapelyError, ValueError) as error:
            faults[row] = _malformed(f"The geometry can't be built: {str(error)[:200]}")
        else:
            built[row] = geometry[0]
            if fault:
                faults[row] = fault[0]
    return built, faults


@dataclass(slots=True)
class _Atoms:
    """Lines or rings: their positions, and the row that each belongs to."""

    arrays: list[FloatArray] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)


class _Plan:
    """All parts of a chunk's geometries, sorted by kind.

    Every geometry has a row, in a multi-geometry or collection every member too; a row knows the
    sketch that it came from.
    """

    def __init__(self, sketches: Sequence[Sketch | None]) -> None:
        self._size = len(sketches)
        self._origin = list(range(self._size))  # of each row, the index of its sketch
        self._points: list[tuple[float, float, float]] = []
        self._point_rows: list[int] = []
        self._lines = _Atoms()
        self._rings = _Atoms()
        self._empties: list[tuple[int, int]] = []  # row, kind
        self._multis: list[tuple[int, int, range]] = []  # row, kind, rows of the members
        self._collections: list[tuple[int, range]] = []  # inner ones first
        for row, one in enumerate(sketches):
            if one is not None:
                self._add(row, one)

    def _add(self, row: int, one: Sketch) -> None:
        kind, coordinates = one
        if kind == _POINT and coordinates is not None:
            self._points.append(coordinates)
            self._point_rows.append(row)
        elif coordinates is None or not len(coordinates):
            self._empties.append((row, kind))
        elif kind == _LINE:
            self._lines.arrays.append(coordinates)
            self._lines.rows.append(row)
        elif kind == _POLYGON:
            self._rings.arrays.extend(coordinates)
            self._rings.rows.extend([row] * len(coordinates))
        else:
            self._add_members(row, kind, coordinates)

    def _add_members(self, row: int, kind: int, members: list[Any]) -> None:
        first = len(self._origin)
        rows = range(first, first + len(members))
        self._origin.extend([self._origin[row]] * len(members))
        for inner, member in zip(rows, members, strict=True):
            self._add(inner, member if kind == _COLLECTION else (kind - _POINTS, member))
        if kind == _COLLECTION:
            self._collections.append((row, rows))
        else:
            self._multis.append((row, kind, rows))

    def build(self, reach: Reach) -> tuple[GeometryArray, dict[int, SenderError]]:
        """Builds atoms, then what is made of them; see the function of this name."""
        built = np.full(len(self._origin), None, dtype=object)
        far: set[int] = set()
        if self._points:
            positions = np.array(self._points, dtype=np.float64)
            far.update(_beyond(positions, reach, self._point_rows))
            built[self._point_rows] = _points(positions)
        if self._lines.arrays:
            built[self._lines.rows] = self._linear(self._lines, shapely.linestrings, reach, far)
        if self._rings.arrays:
            rings = self._linear(self._rings, shapely.linearrings, reach, far)
            rows, polygon_of = np.unique(self._rings.rows, return_inverse=True)
            order = np.argsort(polygon_of, kind="stable")
            built[rows] = shapely.polygons(rings[order], indices=polygon_of[order])
        for row, kind in self._empties:
            built[row] = _EMPTY[kind]
        self._compose(built)
        faults = {self._origin[row]: _out_of_reach() for row in far}
        return built[: self._size], faults

    @staticmethod
    def _linear(atoms: _Atoms, make: Any, reach: Reach, far: set[int]) -> GeometryArray:  # noqa: ANN401 - a ufunc
        """Lines or rings, those with z apart from those without."""
        built = np.empty(len(atoms.arrays), dtype=object)
        for width in (2, 3):
            chosen = [i for i, array in enumerate(atoms.arrays) if array.shape[1] == width]
            if not chosen:
                continue
            arrays = [atoms.arrays[i] for i in chosen]
            positions = np.concatenate(arrays)
            indices = np.repeat(np.arange(len(arrays)), [len(array) for array in arrays])
            rows = np.array(atoms.rows)[chosen]
            far.update(_beyond(positions, reach, rows[indices]))
            built[chosen] = make(positions, indices=indices)
        return built

    def _compose(self, built: GeometryArray) -> None:
        """Multi-geometries kind by kind, then collections from the inside outwards."""
        for kind, compose in _COMPOSERS.items():
            chosen = [(row, members) for row, of, members in self._multis if of == kind]
            if chosen:
                members = [member for _, rows in chosen for member in rows]
                indices = np.repeat(np.arange(len(chosen)), [len(rows) for _, rows in chosen])
                built[[row for row, _ in chosen]] = compose(built[members], indices=indices)
        for row, rows in self._collections:
            built[row] = shapely.geometrycollections(built[rows.start : rows.stop])


def _points(positions: FloatArray) -> GeometryArray:
    """Points of (n, 3) positions, where a z of NaN means none."""
    flat = np.isnan(positions[:, 2])
    if flat.all():
        return np.asarray(shapely.points(positions[:, :2]))
    built = np.empty(len(positions), dtype=object)
    built[flat] = shapely.points(positions[flat, :2])
    built[~flat] = shapely.points(positions[~flat])
    return built


def _beyond(
    positions: FloatArray, reach: Reach, rows: Sequence[int] | npt.NDArray[np.intp]
) -> list[int]:
    """Rows with a position out of reach: written so that NaN in x or y is out of it."""
    inside = (np.abs(positions[:, 0]) <= reach.x) & (np.abs(positions[:, 1]) <= reach.y)
    if positions.shape[1] > 2:  # noqa: PLR2004 - with z
        inside &= ~(np.abs(positions[:, 2]) > reach.z)  # a NaN in z is ours: there is none
    if inside.all():
        return []
    return [int(row) for row in np.asarray(rows)[~inside]]
