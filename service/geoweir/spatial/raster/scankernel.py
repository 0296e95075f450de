"""Zonal statistics by the C kernel."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from geoweir.spatial.kernel.loaded import ffi, lib
from geoweir.spatial.raster.band import Band
from geoweir.spatial.raster.pixels import Block, Pixels, Window
from geoweir.spatial.raster.request import (
    SIDE,
    Request,
    TooVariedError,
    piece_count,
    pieces,
    refuse_excess,
    refuse_outline,
)
from geoweir.spatial.raster.tally import Stats
from geoweir.spatial.raster.zones import Zones

__all__ = ["KernelScan"]

_COUNT_ONLY: Final = -1  # as a limit: nothing is read
_MOST_WORK: Final = 200_000_000  # a second's


class KernelScan:
    """One request of one raster, answered feature by feature."""

    def __init__(self, pixels: Pixels, zones: Zones, request: Request) -> None:
        self._pixels, self._request = pixels, request
        self._band = pixels.bands[request.band]
        self._grid = zones.grid
        self._features = zones.ragged.features.tolist()
        self._zones, self._held = _zones(zones)
        whole = pixels.whole(request.band)
        self._whole = None if whole is None else _block(whole, self._band)
        self._stats = ffi.new("gw_stats *")

    def stats(self, feature: int, window: Window) -> Stats:
        """See ``zonal``; TooLargeError, TooVariedError."""
        with _Tally(majority=self._request.majority) as tally:
            if self._whole is not None:
                self._add(tally, feature, self._whole[0], self._request.limit)
            else:
                self._read(tally, feature, window)
            found = self._taken(tally)
        refuse_excess(found.pixels, self._request.limit)
        return found

    def _read(self, tally: Any, feature: int, window: Window) -> None:  # noqa: ANN401 - of C
        pixels, work = self._count(feature, window)
        refuse_excess(pixels, self._request.limit)
        if work * piece_count(window, SIDE) > _MOST_WORK:  # it is done again for each piece
            raise refuse_outline()
        for piece in pieces(window, SIDE):
            if self._count(feature, piece)[0]:
                read = self._pixels.window(self._request.band, piece)
                block, _held = _block(read, self._band)
                self._add(tally, feature, block, self._request.limit)

    def _count(self, feature: int, window: Window) -> tuple[int, int]:
        """Pixels of a feature in a window, and the work that it was to find them."""
        with _Tally(majority=False) as tally:
            self._add(tally, feature, _outline(window), _COUNT_ONLY)
            lib.gw_tally_read(tally, self._stats)
            return self._stats.pixels, self._stats.work

    def _add(self, tally: Any, feature: int, block: Any, limit: int) -> None:  # noqa: ANN401
        status = lib.gw_zonal(
            tally,
            self._zones,
            self._features[feature],
            self._features[feature + 1],
            block,
            self._grid.width,
            self._grid.height,
            self._request.all_touched,
            limit,
        )
        if status == lib.GW_ZONAL_DONE:
            return
        if status == lib.GW_ZONAL_NO_MEMORY:
            raise MemoryError
        if status == lib.GW_ZONAL_TOO_COMPLEX:
            raise refuse_outline()
        if status == lib.GW_ZONAL_TOO_VARIED:
            raise TooVariedError
        raise AssertionError("offsets or sizes contradict each other")

    def _taken(self, tally: Any) -> Stats:  # noqa: ANN401
        lib.gw_tally_read(tally, self._stats)
        found = self._stats
        is_real = self._band.dtype.startswith("<f")
        return Stats(
            pixels=found.pixels,
            count=found.count,
            total=found.sum if is_real else found.whole_sum,
            least=found.min,
            greatest=found.max,
            majority=found.majority if self._request.majority and found.count else math.nan,
        )


class _Tally:
    """A tally of the kernel's, freed at the end of the block."""

    def __init__(self, *, majority: bool) -> None:
        self._tally = lib.gw_tally_new(majority)
        if not self._tally:
            raise MemoryError

    def __enter__(self) -> Any:  # noqa: ANN401
        return self._tally

    def __exit__(self, *error: object) -> None:
        lib.gw_tally_free(self._tally)


def _zones(zones: Zones) -> tuple[Any, list[Any]]:
    """The kernel's view of polygons, and what must live as long."""
    ragged = zones.ragged
    held = [
        ffi.from_buffer("double[]", ragged.coordinates),
        ffi.from_buffer("uint64_t[]", ragged.rings),
        ffi.from_buffer("uint64_t[]", ragged.parts),
    ]
    made = ffi.new("gw_zones *")
    made.xy, made.rings, made.parts = held
    made.vertices = len(ragged.coordinates)
    made.ring_count, made.part_count = len(ragged.rings) - 1, len(ragged.parts) - 1
    made.is_mirrored = zones.grid.is_mirrored
    return made, held


def _outline(window: Window) -> Any:  # noqa: ANN401
    made = ffi.new("gw_block *")
    made.left, made.top = window.left, window.top
    made.width, made.height = window.width, window.height
    made.tile_width, made.tile_height = window.width, window.height
    return made


def _block(block: Block, band: Band) -> tuple[Any, list[Any]]:
    """The kernel's view of a block, and what must live as long."""
    made = _outline(block.window)
    made.tile_height, made.tile_width = block.tile
    stored = ffi.from_buffer(np.asarray(block.stored))
    held = [stored]
    made.values = ffi.cast("void *", stored)
    made.size = block.stored.size
    if block.flags is not None:
        flags = ffi.from_buffer("uint8_t[]", block.flags)
        held.append(flags)
        made.valid = flags
        made.size = min(block.stored.size, block.flags.size)
    made.type = band.type_code
    made.has_nodata = band.nodata is not None
    made.nodata = band.nodata or 0.0
    return made, held
