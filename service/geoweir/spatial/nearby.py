"""The nearest segments without a kernel: what ``kernel/segments.c`` does, a chunk at a time.

The tree, the metrics and the iteration are the kernel's and are explained there. Here a greedy way
down the tree finds something near each point first, and then everything is looked at, level by
level, that could be nearer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from geoweir.spatial.ellipsoid import Ellipsoid, Origins, Places

__all__ = ["FANOUT", "NEAREST", "Segments", "nearby"]

_Array = npt.NDArray[Any]
_Numbers = npt.NDArray[np.float64]
_Indices = npt.NDArray[np.int64]
_Flags = npt.NDArray[np.bool_]

FANOUT: Final = 16  # as in segments.c, and so are those that follow
_TIE: Final = 1e-6
_SETTLED: Final = 1e-7
_STEEP: Final = 1.5
_LARGEST: Final = 1e7
_STEPS: Final = 12
_PROBES: Final = 32
_LONGEST_RUN: Final = 64
_TURNS: Final = (0.0, -360.0, 360.0)
_AT_ONCE: Final = 256  # points

#: A row of the answer, as the kernel's ``gw_nearest``.
NEAREST: Final = np.dtype(
    [
        ("vertex", "<i8"),
        ("feature", "<i8"),
        *((name, "<f8") for name in ("lon", "lat", "distance", "measure", "offset")),
    ]
)


@dataclass(frozen=True, slots=True, eq=False)
class Segments:
    """The arrays of an index, as ``kernel/segments.h`` names them; their values are unchecked."""

    a: float
    es: float
    vertices: _Numbers
    measures: _Numbers
    rings: _Array
    runs: _Array
    blocks: _Array
    ranks: _Array

    def levels(self) -> list[tuple[int, int]]:
        """Of each level of blocks, the lowest first: the first one, and how many."""
        made, below, first = [], len(self.runs), 0
        while below > (1 if made else 0):
            count = -(-below // FANOUT)
            made.append((first, count))
            first, below = first + count, count
        return made


def nearby(segments: Segments, points: _Numbers, reach: float) -> _Array:
    """See ``SegmentIndex.nearest``."""
    found = np.empty(len(points), dtype=NEAREST)
    found["vertex"] = found["feature"] = -1
    for name in ("lon", "lat", "distance", "measure", "offset"):
        found[name] = np.nan
    usable = np.flatnonzero(np.isfinite(points[:, 0]) & (np.abs(points[:, 1]) <= 90))  # noqa: PLR2004
    if len(segments.runs):
        for start in range(0, len(usable), _AT_ONCE):
            some = usable[start : start + _AT_ONCE]
            _Search(segments, points[some], min(reach, _LARGEST)).write(found, some)
    return found


@dataclass(slots=True, eq=False)
class _Candidates:
    """Segments that may be nearest to a query; ``at`` is where on it, from 0 to 1."""

    query: _Indices
    run: _Indices
    vertex: _Indices
    at: _Numbers
    squared: _Numbers

    def take(self, some: _Array) -> _Candidates:
        return _Candidates(
            self.query[some], self.run[some], self.vertex[some], self.at[some], self.squared[some]
        )


class _Search:
    """One search for some points; a query is a point in one of the turns of longitude."""

    def __init__(self, segments: Segments, points: _Numbers, reach: float) -> None:
        self._segments, self._reach, self._count = segments, reach, len(points)
        self._ellipsoid = Ellipsoid(segments.a, segments.es)
        lon = np.remainder(points[:, 0] + 180, 360) - 180
        exact = np.abs(points[:, 0]) <= 180  # noqa: PLR2004 - stays as it is, bit for bit
        lon = np.where(exact, points[:, 0], lon)
        self._point = np.tile(np.arange(self._count), len(_TURNS))
        turns = np.repeat(_TURNS, self._count)
        self._from = self._ellipsoid.origins(lon[self._point] + turns, points[self._point, 1])
        self._limit = np.full(self._count, reach)
        self._measure(self._limit)

    def write(self, found: _Array, rows: _Array) -> None:
        """Writes each point's answer into its row."""
        near = self._candidates(self._greedy())
        np.minimum.at(self._limit, self._point[near.query], self._settled(near)[0])
        self._measure(self._limit + 2 * _TIE)
        near = self._candidates(self._within())
        distance, places = self._settled(near)
        chosen = self._chosen(near, distance)
        self._answer(found, rows, near.take(chosen), distance[chosen], places.take(chosen))

    # ---- The lower metric

    def _measure(self, reach: _Numbers) -> None:
        """Metres per degree, at least, on all ways within the reach of each query."""
        self._kx, self._ky, self._stretch = self._ellipsoid.least(self._from, reach[self._point])

    def _squared_limit(self, query: _Indices) -> _Numbers:
        limits: _Numbers = (self._limit[self._point[query]] + 2 * _TIE) ** 2 * (1 + 1e-12)
        return limits

    # ---- The tree

    def _to_boxes(self, query: _Indices, block: _Indices) -> _Numbers:
        """Squared distances (queries, 16) to the boxes of a block each."""
        sides = self._segments.blocks[block].astype(np.float64).reshape(-1, 4, FANOUT)
        lon, lat = self._from.lon[query, None], self._from.lat[query, None]
        x = np.maximum(np.maximum(sides[:, 0] - lon, lon - sides[:, 2]), 0)
        y = np.maximum(np.maximum(sides[:, 1] - lat, lat - sides[:, 3]), 0)
        with np.errstate(invalid="ignore"):  # no box, at a pole: infinity by 0
            squared = (x * self._kx[query, None]) ** 2 + (y * self._ky[query, None]) ** 2
        return np.where(np.isnan(squared), np.inf, squared)

    def _down(self) -> Iterator[tuple[int, int]]:
        """The levels from the root: the first block, and how many children there are."""
        levels = self._segments.levels()
        below = [len(self._segments.runs), *(count for _, count in levels)]
        for number in range(len(levels) - 1, -1, -1):
            yield levels[number][0], below[number]

    def _greedy(self) -> tuple[_Indices, _Indices]:
        """The run that each query comes to when it always takes the nearest box."""
        query = np.arange(len(self._point))
        node = np.zeros(len(query), dtype=np.int64)
        for first, children in self._down():
            squared = self._to_boxes(query, first + node)
            node = np.minimum(node * FANOUT + np.argmin(squared, axis=1), children - 1)
        return query, node

    def _within(self) -> tuple[_Indices, _Indices]:
        """All runs whose box is within the limit of a query."""
        query = np.arange(len(self._point))
        node = np.zeros(len(query), dtype=np.int64)
        for first, children in self._down():
            near = self._to_boxes(query, first + node) <= self._squared_limit(query)[:, None]
            row, child = np.nonzero(near)
            query, node = query[row], node[row] * FANOUT + child
            query, node = query[node < children], node[node < children]
        return query, node

    # ---- Segments

    def _is_whole(self, run: _Indices) -> _Flags:
        """Whether a run lies in its ring, and the ring in the file."""
        own = self._segments
        first, size, feature, ring = own.runs[run].astype(np.int64).T
        is_known = (size <= _LONGEST_RUN) & (feature < len(own.ranks)) & (ring < len(own.rings) - 1)
        ring = np.where(is_known, ring, 0)
        low, high = own.rings[ring], own.rings[np.minimum(ring + 1, len(own.rings) - 1)]
        whole: _Flags = is_known & (low <= first) & (first + size < high)
        return whole & (high <= len(own.vertices))

    def _candidates(self, runs: tuple[_Indices, _Indices]) -> _Candidates:
        """The segments of runs, with their feet in the lower metric, that are within the limit."""
        query, run = runs
        whole = self._is_whole(run)
        query, run = query[whole], run[whole]
        first, size = self._segments.runs[run, :2].astype(np.int64).T
        counts = np.maximum(size, 1)
        owner = np.repeat(np.arange(len(run)), counts)
        within = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
        made = _Candidates(
            query[owner], run[owner], first[owner] + within, np.empty(0), np.empty(0)
        )
        start, end = self._ends(made)
        made.at, made.squared = self._foot_in_plane(made.query, start, end)
        return made.take(made.squared <= self._squared_limit(made.query))

    def _ends(self, some: _Candidates) -> tuple[_Numbers, _Numbers]:
        """Both vertices; a lone one twice."""
        is_lone = self._segments.runs[some.run, 1] == 0
        vertices = self._segments.vertices
        return vertices[some.vertex], vertices[some.vertex + ~is_lone]

    def _foot_in_plane(
        self, query: _Indices, start: _Numbers, end: _Numbers
    ) -> tuple[_Numbers, _Numbers]:
        scale = np.column_stack([self._kx[query], self._ky[query]])
        here = np.column_stack([self._from.lon[query], self._from.lat[query]])
        to, way = (start - here) * scale, (end - start) * scale
        length = (way**2).sum(axis=1)
        at = np.divide(
            -(to * way).sum(axis=1), length, out=np.zeros(len(query)), where=length > 0
        ).clip(0, 1)
        return at, ((to + at[:, None] * way) ** 2).sum(axis=1)

    # ---- Deciding

    def _settled(self, some: _Candidates) -> tuple[_Numbers, Places]:
        """True distances; moves ``at`` to the true foot."""
        start, end = self._ends(some)
        origins = self._from.take(some.query)
        steep = ~(self._stretch[some.query] <= _STEEP)
        some.at[steep] = self._probed(origins.take(steep), start[steep], end[steep])
        some.at = self._foot(origins, start, end, some.at)
        places = self._ellipsoid.places(origins, start + some.at[:, None] * (end - start))
        return self._ellipsoid.arcs(origins, places), places

    def _probed(self, origins: Origins, start: _Numbers, end: _Numbers) -> _Numbers:
        best, at = np.full(len(start), np.inf), np.zeros(len(start))
        for probe in np.linspace(0, 1, _PROBES + 1):
            places = self._ellipsoid.places(origins, start + probe * (end - start))
            nearer = places.squared() < best
            best[nearer], at[nearer] = places.squared()[nearer], probe
        return at

    def _foot(self, origins: Origins, start: _Numbers, end: _Numbers, at: _Numbers) -> _Numbers:
        at, moving = at.copy(), np.arange(len(at))
        way = np.radians(end - start)
        for _ in range(_STEPS):
            here = start[moving] + at[moving, None] * (end - start)[moving]
            places = self._ellipsoid.places(origins.take(moving), here)
            pace = way[moving] * np.column_stack([places.parallel, places.meridian])
            speed = (pace**2).sum(axis=1)
            away = (np.column_stack(places.away()) * pace).sum(axis=1)
            step = np.divide(away, speed, out=np.zeros(len(moving)), where=speed > 0)
            onwards = (at[moving] - step).clip(0, 1)
            moved = (onwards - at[moving]) ** 2 * speed > _SETTLED**2
            moving, onwards = moving[moved], onwards[moved]
            if not moving.size:
                break
            at[moving] = onwards
        return at

    def _chosen(self, some: _Candidates, distance: _Numbers) -> _Indices:
        """The nearest of each point: of equally near ones the first in the source."""
        point = self._point[some.query]
        best = np.full(self._count, np.inf)
        np.minimum.at(best, point, distance)
        tied = np.flatnonzero((distance <= best[point] + _TIE) & (best[point] <= self._reach))
        rank = self._segments.ranks[self._segments.runs[some.run[tied], 2]]
        order = tied[np.lexsort((some.vertex[tied], rank, point[tied]))]
        _, first = np.unique(point[order], return_index=True)
        return np.asarray(order[first], dtype=np.int64)

    # ---- The answer

    def _answer(
        self, found: _Array, rows: _Array, best: _Candidates, distance: _Numbers, places: Places
    ) -> None:
        start, end = self._ends(best)
        at = best.at[:, None]
        rows = rows[self._point[best.query]]
        found["vertex"][rows] = best.vertex
        found["feature"][rows] = self._segments.runs[best.run, 2]
        found["lon"][rows], found["lat"][rows] = (start + at * (end - start)).T
        found["distance"][rows] = distance
        found["measure"][rows] = self._measured(best, start, end)
        found["offset"][rows] = self._offset(best, places)

    def _measured(self, best: _Candidates, start: _Numbers, end: _Numbers) -> _Numbers:
        """Metres along the feature."""
        is_lone = self._segments.runs[best.run, 1] == 0
        measure = self._segments.measures[best.vertex]
        onwards = self._segments.measures[best.vertex + ~is_lone]
        origins = self._ellipsoid.origins(start[:, 0], start[:, 1])
        places = self._ellipsoid.places(origins, start + best.at[:, None] * (end - start))
        along = np.minimum(measure + self._ellipsoid.arcs(origins, places), onwards)
        return np.where(best.at >= 1, onwards, along)

    def _offset(self, best: _Candidates, places: Places) -> _Numbers:
        """Metres to the left of the line; at a vertex both segments decide, as in the kernel."""
        own = self._direction(best.vertex, places)
        beside = self._neighbour(best)
        both = own + np.where(
            (beside >= 0)[:, None], self._direction(np.maximum(beside, 0), places), 0
        )
        length = np.hypot(*both.T)[:, None]
        usual = (beside >= 0)[:, None] & (length > 1e-9)  # noqa: PLR2004 - else it turns back
        x, y = np.where(usual, np.divide(both, length, where=length > 0, out=own.copy()), own).T
        east, north = places.away()
        offset = y * east - x * north
        is_lone = self._segments.runs[best.run, 1] == 0
        return np.where(is_lone | ((x == 0) & (y == 0)), np.nan, offset)

    def _direction(self, vertex: _Indices, places: Places) -> _Numbers:
        """Unit vectors east and north, or (0, 0)."""
        vertices = self._segments.vertices
        onwards = np.minimum(vertex + 1, len(vertices) - 1)
        way = (vertices[onwards] - vertices[vertex]) * np.column_stack(
            [places.parallel, places.meridian]
        )
        length = np.hypot(*way.T)[:, None]
        return np.divide(way, length, out=np.zeros_like(way), where=length > 0)

    def _neighbour(self, best: _Candidates) -> _Indices:
        """The first vertex of the segment that goes on at an end of one; -1 for none."""
        rings, vertices = self._segments.rings, self._segments.vertices
        ring = self._segments.runs[best.run, 3].astype(np.int64)
        low, high = rings[ring].astype(np.int64), rings[ring + 1].astype(np.int64)
        is_closed = (high - low > 2) & (vertices[low] == vertices[high - 1]).all(axis=1)  # noqa: PLR2004
        wrapped_back = np.where(is_closed, high - 2, -1)
        wrapped_on = np.where(is_closed, low, -1)
        back = np.where(best.vertex > low, best.vertex - 1, wrapped_back)
        onwards = np.where(best.vertex + 2 < high, best.vertex + 1, wrapped_on)
        beside = np.where(best.at <= 0, back, np.where(best.at >= 1, onwards, -1))
        return np.asarray(beside, dtype=np.int64)
