"""The pixels of polygons, as rows and ranges of columns, in numpy: the kernel's rule.

See ``kernel/zonal.c`` for the rule and its sources; every formula that decides is evaluated in the
same order here, so that both find the same pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from geoweir.spatial.raster.pixels import Window

__all__ = ["Edges", "Spans", "spans"]

_Numbers = npt.NDArray[np.float64]
_Integers = npt.NDArray[np.int64]
Spans = tuple[_Integers, _Integers, _Integers]

#: GDAL's: how near to a border lies on it, what deviates less stays in one column or row, and the
#: least step across a row's border; see the kernel.
_ALIGNED: Final = 1e-4
_STRAIGHT: Final = 0.01
_NUDGE: Final = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Edges:
    """The edges of one feature's rings.

    Attributes:
        starts: f8 (edges, 2): columns and rows, in the order of rings that turn clockwise.
        ends: f8 (edges, 2).
        parts: int64 (edges,): the polygon that each belongs to.
    """

    starts: _Numbers
    ends: _Numbers
    parts: _Integers

    @classmethod
    def of(cls, xy: _Numbers, rings: _Integers, parts: _Integers, *, is_mirrored: bool) -> Edges:
        """Edges of closed rings.

        Args:
            xy: f8 (vertices, 2).
            rings: where each ring begins, and the end.
            parts: the polygon of each ring.
            is_mirrored: see ``Grid.is_mirrored``.
        """
        is_start, is_end = np.ones((2, len(xy)), dtype=np.bool_)
        is_start[rings[1:] - 1] = False
        is_end[rings[:-1]] = False
        ring = np.repeat(np.arange(len(parts)), np.diff(rings) - 1)
        starts, ends, origin = xy[is_start], xy[is_end], xy[rings[:-1]][ring]
        areas = np.bincount(ring, _cross(starts - origin, ends - origin), minlength=len(parts))
        back = ((areas > 0) ^ is_mirrored)[ring, None]
        return cls(np.where(back, ends, starts), np.where(back, starts, ends), parts[ring])

    def crossings(self, height: int) -> int:
        """How many rows of pixels the edges cross, all together."""
        first, end = self._rows(0, height)
        return int(np.maximum(end - first, 0).sum())

    def steps(self, width: int, height: int) -> int:
        """About how many pixels the longest edge runs through, of those in the raster."""
        size = (width, height)
        inside = np.abs(np.clip(self.ends, 0, size) - np.clip(self.starts, 0, size))
        return int(inside.sum(axis=1).max(initial=0))

    def _rows(self, top: int, bottom: int) -> tuple[_Integers, _Integers]:
        low = np.minimum(self.starts[:, 1], self.ends[:, 1])
        high = np.maximum(self.starts[:, 1], self.ends[:, 1])
        first = np.clip(np.ceil(low - 0.5), top, bottom).astype(np.int64)
        return first, np.clip(np.ceil(high - 0.5), top, bottom).astype(np.int64)

    def scanned(self, top: int, bottom: int, width: int) -> Spans:
        """Between which columns each row's centre line is inside, polygon by polygon."""
        first, end = self._rows(top, bottom)
        counts = np.maximum(end - first, 0)
        edge = np.repeat(np.arange(len(counts)), counts)
        row = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts - first, counts)
        up = self.starts[edge, 1] > self.ends[edge, 1]
        (x1, y1), (x2, y2) = (
            np.where(up[:, None], self.ends[edge], self.starts[edge]).T,
            np.where(up[:, None], self.starts[edge], self.ends[edge]).T,
        )
        x = (row + 0.5 - y1) * (x2 - x1) / (y2 - y1) + x1
        column = _columns_from(x, width)
        order = np.lexsort((column, self.parts[edge], row))
        row, column = row[order], column[order]
        return row[::2], column[::2], column[1::2]

    def level(self, top: int, bottom: int, width: int) -> Spans:
        """What edges cover that run from right to left through centres."""
        (x1, y1), (x2, y2) = self.starts.T, self.ends.T
        row = np.floor(y1)
        some = (y1 == y2) & (y1 == row + 0.5) & (x1 > x2) & (row >= top) & (row < bottom)
        return (
            row[some].astype(np.int64),
            _columns_from(x2[some], width),
            _columns_from(x1[some], width),
        )

    def touched(self, window: Window, width: int, height: int) -> Spans:
        """The pixels that the edges run through; ``width`` and ``height`` are the raster's."""
        (x1, y1), (x2, y2) = self.starts.T, self.ends.T
        outside = (y1 < 0) & (y2 < 0) | (y1 > height) & (y2 > height)
        outside |= (x1 < 0) & (x2 < 0) | (x1 > width) & (x2 > width)
        swap = x1 > x2
        x1, x2 = np.where(swap, x2, x1), np.where(swap, x1, x2)
        y1, y2 = np.where(swap, y2, y1), np.where(swap, y1, y2)
        upright = (np.floor(x1) == np.floor(x2)) | (np.abs(x1 - x2) < _STRAIGHT)
        level = ~upright & ((np.floor(y1) == np.floor(y2)) | (np.abs(y1 - y2) < _STRAIGHT))
        sloped = ~upright & ~level & ~outside
        upright &= ~outside & ~_are_aligned(x1, x2)
        level &= ~outside & ~_are_aligned(y1, y2)
        low, high = np.minimum(y1, y2), np.maximum(y1, y2)
        parts = (
            _upright(x2[upright], low[upright], high[upright], window, width),
            _level(y1[level], x1[level], x2[level], window, width),
            _sloped((x1[sloped], y1[sloped], x2[sloped], y2[sloped]), window, width, height),
        )
        row, start, end = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        return row, start, end


def _cross(a: _Numbers, b: _Numbers) -> _Numbers:
    return np.asarray(a[:, 0] * b[:, 1] - b[:, 0] * a[:, 1])


def spans(edges: Edges, window: Window, width: int, height: int, *, all_touched: bool) -> Spans:
    """Rows, first columns and ends of the pixels in a window; each pixel is in one span.

    Args:
        edges: of one feature.
        window: what is asked for.
        width: columns of the whole raster.
        height: rows of the whole raster.
        all_touched: whether pixels count that the outline only touches.
    """
    bottom = window.top + window.height
    found = [edges.scanned(window.top, bottom, width), edges.level(window.top, bottom, width)]
    if all_touched:
        found.append(edges.touched(window, width, height))
    row, start, end = (np.concatenate(columns) for columns in zip(*found, strict=True))
    start = np.maximum(start, window.left)
    end = np.minimum(end, window.left + window.width)
    return _united(row, start, end, width + 1)


def _united(row: _Integers, start: _Integers, end: _Integers, stride: int) -> Spans:
    """Spans without what earlier ones of the row have; ``stride`` is above every column."""
    some = start < end
    row, start, end = row[some], start[some], end[some]
    order = np.lexsort((start, row))
    row, start, end = row[order], start[order], end[order]
    if len(row):
        reached = np.maximum.accumulate(row * stride + end)
        start[1:] = np.maximum(start[1:], reached[:-1] - row[1:] * stride)
    some = start < end
    return row[some], start[some], end[some]


def _columns_from(x: _Numbers, width: int) -> _Integers:
    return np.clip(np.floor(x + 0.5), 0, width).astype(np.int64)


def _are_aligned(a: _Numbers, b: _Numbers) -> npt.NDArray[np.bool_]:
    return (np.abs(a - _round(a)) < _ALIGNED) & (np.abs(b - _round(b)) < _ALIGNED)


def _round(value: _Numbers) -> _Numbers:
    """To the nearest whole number, halves away from zero as C does."""
    return np.trunc(value + np.copysign(0.5, value))


def _upright(x: _Numbers, y1: _Numbers, y2: _Numbers, window: Window, width: int) -> Spans:
    bottom = window.top + window.height
    column = np.floor(x)
    first = np.clip(np.floor(y1), window.top, bottom).astype(np.int64)
    end = np.clip(np.floor(y2 - _ALIGNED) + 1, window.top, bottom).astype(np.int64)
    counts = np.where((column >= 0) & (column < width), np.maximum(end - first, 0), 0)
    edge = np.repeat(np.arange(len(counts)), counts)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts - first, counts)
    start = column[edge].astype(np.int64)
    return row, start, start + 1


def _level(y: _Numbers, x1: _Numbers, x2: _Numbers, window: Window, width: int) -> Spans:
    row = np.floor(y)
    some = (row >= window.top) & (row < window.top + window.height)
    start = np.clip(np.floor(x1[some]), 0, width).astype(np.int64)
    end = np.clip(np.floor(x2[some] - _ALIGNED) + 1, 0, width).astype(np.int64)
    return row[some].astype(np.int64), start, end


def _sloped(
    ends: tuple[_Numbers, _Numbers, _Numbers, _Numbers], window: Window, width: int, height: int
) -> Spans:
    """All sloped edges walk together, each a pixel at a step."""
    x, y, x2, slope = _cut(*ends, width, height)
    rows, columns = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for _ in range(2 * (width + height) + 4):
        going = (x >= 0) & (x < x2)
        x, y, x2, slope = x[going], y[going], x2[going], slope[going]
        if not len(x):
            break
        column, row = np.floor(x), np.floor(y)
        some = (row >= window.top) & (row < window.top + window.height) & (column < width)
        rows.append(row[some].astype(np.int64))
        columns.append(column[some].astype(np.int64))
        across = np.floor(x + 1.0) - x
        down = across * slope
        turns = np.floor(y + down) != row
        border = np.where(slope < 0, np.minimum(row - y, -_NUDGE), np.maximum(row + 1 - y, _NUDGE))
        down = np.where(turns, border, down)
        x, y = x + np.where(turns, border / slope, across), y + down
    start = np.concatenate(columns)
    return np.concatenate(rows), start, start + 1


def _cut(
    x1: _Numbers, y1: _Numbers, x2: _Numbers, y2: _Numbers, width: int, height: int
) -> tuple[_Numbers, _Numbers, _Numbers, _Numbers]:
    """Edges cut to the raster: where the walk begins, the column where it ends, the slope."""
    slope = (y2 - y1) / (x2 - x1)
    right = x2 > width
    y2 = np.where(right, y2 - (x2 - width) * slope, y2)
    x2 = np.where(right, float(width), x2)
    left = x1 < 0
    y1 = np.where(left, y1 + (0 - x1) * slope, y1)
    x1 = np.where(left, 0.0, x1)
    sinks = y2 > y1
    above, below = sinks & (y1 < 0), ~sinks & (y1 >= height)
    with np.errstate(divide="ignore", invalid="ignore"):
        x1 = np.where(above, x1 + (0 - y1) / slope, np.where(below, x1 + (height - y1) / slope, x1))
        y1 = np.where(above, 0.0, np.where(below, float(height), y1))
        x2 = np.where(~sinks & (y2 < 0), x2 - y2 / slope, x2)
    return x1, y1, x2, slope
