"""Zonal statistics in numpy, for where there is no kernel."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from geoweir.spatial.raster.pixels import Pixels, Window
from geoweir.spatial.raster.request import (
    MAX_WORK,
    SIDE,
    Request,
    piece_count,
    pieces,
    refuse_excess,
    refuse_outline,
)
from geoweir.spatial.raster.spans import Edges, Spans, spans
from geoweir.spatial.raster.tally import Stats, Tally
from geoweir.spatial.raster.zones import Zones

__all__ = ["NumpyScan"]

_AT_ONCE: Final = 1_000_000  # crossings
#: Of the walk along an outline, in all windows: a second's. A window costs as much as ten.
_MOST_STEPS: Final = 50_000
_LEAST_STEPS: Final = 10


class NumpyScan:
    """One request of one raster, answered feature by feature."""

    def __init__(self, pixels: Pixels, zones: Zones, request: Request) -> None:
        self._pixels, self._zones, self._request = pixels, zones, request

    def stats(self, feature: int, window: Window) -> Stats:
        """See ``zonal``; TooLargeError, TooVariedError."""
        request, grid = self._request, self._zones.grid
        edges = self._edges(feature)
        rows = min(max(_AT_ONCE // max(len(edges.parts), 1), 1), SIDE)
        steps = edges.steps(grid.width, grid.height) if request.all_touched else 0
        is_slow = piece_count(window, rows) * max(steps, _LEAST_STEPS) > _MOST_STEPS
        if is_slow or edges.crossings(grid.height) > MAX_WORK:
            raise refuse_outline()
        wide = pieces(window, rows, window.left + window.width)
        pixels = sum(_count(self._spans(edges, piece)) for piece in wide)
        refuse_excess(pixels, request.limit)
        tally = Tally(majority=request.majority)
        for piece in pieces(window, rows):
            found = self._spans(edges, piece)
            if len(found[0]):
                tally.add(_count(found), self._values(found, piece))
        return tally.stats()

    def _edges(self, feature: int) -> Edges:
        one = self._zones.ragged.take(np.array([feature]))
        offsets = one.parts.astype(np.int64)
        parts = np.repeat(np.arange(len(offsets) - 1), offsets[1:] - offsets[:-1])
        rings = one.rings.astype(np.int64)
        return Edges.of(one.coordinates, rings, parts, is_mirrored=self._zones.grid.is_mirrored)

    def _spans(self, edges: Edges, window: Window) -> Spans:
        grid = self._zones.grid
        touched = self._request.all_touched
        return spans(edges, window, grid.width, grid.height, all_touched=touched)

    def _values(self, found: Spans, window: Window) -> npt.NDArray[Any]:
        block = self._pixels.window(self._request.band, window)
        inside = _mask(found, window)
        stored = block.stored[inside]
        flags = None if block.flags is None else block.flags[inside]
        values: npt.NDArray[Any] = stored[
            self._pixels.bands[self._request.band].valid(stored, flags)
        ]
        return values


def _count(found: Spans) -> int:
    return int((found[2] - found[1]).sum())


def _mask(found: Spans, window: Window) -> npt.NDArray[np.bool_]:
    """Which pixels of a window lie in spans that have none in common."""
    row, start, end = found
    steps = np.zeros((window.height, window.width + 1), dtype=np.int8)
    np.add.at(steps, (row - window.top, start - window.left), 1)
    np.add.at(steps, (row - window.top, end - window.left), -1)
    inside = np.cumsum(steps, axis=1, dtype=np.int8)[:, :-1] > 0
    return np.asarray(inside)
