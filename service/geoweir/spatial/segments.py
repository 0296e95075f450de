"""The segments of a layer, and which of them is nearest to a point.

A segment is straight between its two vertices in longitude and latitude, as GeoJSON says; so is a
side of a polygon, and a point is a segment of length 0. Layers in a projected CRS are straight
there: their segments are cut until they are straight here too, to a quarter of a millimetre.

    segments.runs       u4 x 4: first vertex, segments (at most 8; 0: a lone vertex), feature, ring
    segments.blocks     f4 x 64: west, south, east, north of each 16 runs, then of each 16 blocks
                        and so on up to one: a packed R-tree, the runs in Hilbert order
    segments.measures   f8: metres from the feature's start to each vertex
    segments.vertices   f8 x 2, segments.rings u8: as in ``Ragged``, in degrees, where the layer's
                        own are not in degrees already
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from geoweir.spatial.densified import straightened
from geoweir.spatial.file.format import LayerFileError
from geoweir.spatial.file.mapped import MappedFile
from geoweir.spatial.geodetic import Geodetic
from geoweir.spatial.hilbert import hilbert
from geoweir.spatial.kernel.loaded import ffi, lib
from geoweir.spatial.nearby import FANOUT, NEAREST, Segments, nearby
from geoweir.spatial.ragged import Ragged

__all__ = ["MAX_DISTANCE", "SegmentIndex", "build"]

#: Metres: the farthest that is looked for.
MAX_DISTANCE: Final = 1_000_000.0
_RUN: Final = 8  # segments
_LEVEL: Final = 16  # bits of the Hilbert curve per axis
#: Metres up to which the kernel's distances are right to a tenth of a millimetre.
_NEAR: Final = 100_000.0

_Array = npt.NDArray[Any]
_Points = npt.NDArray[np.float64]
_Make = Callable[[str, str, int], _Array]


def build(ragged: Ragged, crs: str) -> dict[str, _Array]:
    """The sections of a layer's segment index, by name.

    A run with a vertex that isn't finite is left out. Takes some 200 bytes of memory per vertex.

    Args:
        ragged: the layer's geometries, in the order of the file.
        crs: what they are in.

    Raises:
        ConfigurationError: there is no geographic CRS under this one.
        ValueError: more than 2 ** 32 vertices.
    """
    if len(ragged.coordinates) >= 1 << 32:
        raise ValueError("a layer has at most 2 ** 32 vertices")
    geodetic = Geodetic.under(crs)
    own: dict[str, _Array] = {}
    rings, vertices = ragged.rings, ragged.coordinates
    if not _is_in_degrees(crs, geodetic):
        rings, vertices = straightened(rings, vertices, crs, geodetic)
        own = {"segments.rings": rings, "segments.vertices": vertices}
    runs, boxes = _runs(ragged, rings, vertices)
    order = _in_space(boxes)
    return own | {
        "segments.runs": runs[order],
        "segments.blocks": _blocks(boxes[order]),
        "segments.measures": _measures(ragged, rings, vertices, geodetic),
    }


class SegmentIndex:
    """The segments of an open layer.

    Attributes:
        geodetic: the longitudes and latitudes that points are given in.
    """

    def __init__(self, segments: Segments, geodetic: Geodetic) -> None:
        """Use ``open`` or ``of``."""
        self.geodetic = geodetic
        self._segments = segments
        self._kernel = _Kernel(segments) if lib is not None else None

    @classmethod
    def open(cls, file: MappedFile, ragged: Ragged, crs: str) -> SegmentIndex:
        """The index in a layer file.

        Args:
            file: the file.
            ragged: its geometries.
            crs: the layer's.

        Raises:
            LayerFileError: the file has no such index, or its sections don't fit each other.
        """
        return cls._opened(file.array, ragged, file.array("source", "<u4"), crs)

    @classmethod
    def of(cls, sections: dict[str, _Array], ragged: Ragged, crs: str) -> SegmentIndex:
        """The index of what ``build`` made, for features in the order of their source."""
        ranks = np.arange(len(ragged), dtype=np.uint32)
        return cls._opened(lambda name, _dtype, _columns: sections[name], ragged, ranks, crs)

    @classmethod
    def _opened(cls, section: _Make, ragged: Ragged, ranks: _Array, crs: str) -> SegmentIndex:
        geodetic = Geodetic.under(crs)
        rings, vertices = ragged.rings, ragged.coordinates
        if not _is_in_degrees(crs, geodetic):
            rings = section("segments.rings", "<u8", 1)
            vertices = section("segments.vertices", "<f8", 2)
        segments = Segments(
            a=geodetic.geod.a,
            es=geodetic.geod.es,
            vertices=vertices,
            measures=section("segments.measures", "<f8", 1),
            rings=rings,
            runs=section("segments.runs", "<u4", 4),
            blocks=section("segments.blocks", "<f4", 4 * FANOUT),
            ranks=ranks,
        )
        _check(segments, len(ragged))
        return cls(segments, geodetic)

    def nearest(self, points: _Points, max_distance: float) -> npt.NDArray[Any]:
        """The nearest segment of each point.

        Of two whose distances differ by less than a micrometre the one of the feature that comes
        first in the source is the answer, and within a feature the first. Distances are right to a
        millimetre, those over 100 km as geodesics to the place that was found.

        Args:
            points: f8 (n, 2), longitude and latitude in degrees of ``geodetic``. What isn't finite
                or no latitude has no nearest.
            max_distance: metres; at most MAX_DISTANCE.

        Returns:
            Rows of NEAREST: ``vertex`` (the segment's first; -1 where nothing is near enough),
            ``feature``, ``lon`` and ``lat`` of the place in degrees, ``distance`` and ``measure``
            in metres, and ``offset``: metres to the left of the line.
        """
        given = np.ascontiguousarray(points, dtype=np.float64)
        if self._kernel is not None:
            found = self._kernel.nearest(given, max_distance)
        else:
            found = nearby(self._segments, given, max_distance)
        far = np.flatnonzero(found["distance"] > _NEAR)
        if far.size:
            places = np.column_stack([found["lon"][far], found["lat"][far]])
            found["distance"][far] = self.geodetic.lengths(given[far], places)
        return found


class _Kernel:
    """The kernel's view of the arrays, which it keeps alive."""

    def __init__(self, segments: Segments) -> None:
        def pointer(kind: str, array: _Array) -> Any:  # noqa: ANN401 - cffi's own
            return ffi.from_buffer(f"{kind}[]", np.ascontiguousarray(array))

        self._index = ffi.new("gw_segments *")
        self._held = {
            "vertices": pointer("double", segments.vertices),
            "measures": pointer("double", segments.measures),
            "rings": pointer("uint64_t", segments.rings),
            "runs": pointer("uint32_t", segments.runs),
            "blocks": pointer("float", segments.blocks),
            "ranks": pointer("uint32_t", segments.ranks),
        }
        for name, value in self._held.items():
            setattr(self._index, name, value)
        self._index.a, self._index.es = segments.a, segments.es
        self._index.vertex_count = len(segments.vertices)
        self._index.ring_count = len(segments.rings) - 1
        self._index.run_count = len(segments.runs)
        self._index.block_count = len(segments.blocks)
        self._index.feature_count = len(segments.ranks)

    def nearest(self, points: _Points, reach: float) -> npt.NDArray[Any]:
        found = np.empty(len(points), dtype=NEAREST)
        lib.gw_segments_nearest(
            self._index,
            ffi.from_buffer("double[]", points),
            len(points),
            reach,
            ffi.from_buffer("gw_nearest[]", found, require_writable=True),
        )
        return found


def _is_in_degrees(crs: str, geodetic: Geodetic) -> bool:
    return crs == geodetic.name and geodetic.unit == 1


def _check(segments: Segments, features: int) -> None:
    """Lengths only; what stands in the arrays is checked where it is used."""
    fits = (
        len(segments.measures) == len(segments.vertices)
        and len(segments.rings) >= 1
        and len(segments.ranks) == features
        and len(segments.runs) < 1 << 32
        and len(segments.blocks) == sum(blocks for _, blocks in segments.levels())
    )
    if not fits:
        raise LayerFileError("its sections of segments don't fit each other: compile it again")


def _runs(
    ragged: Ragged, rings: _Array, vertices: _Points
) -> tuple[npt.NDArray[np.uint32], _Points]:
    """Runs of consecutive segments, and their boxes; in the order of the features."""
    starts, sizes = rings[:-1].astype(np.int64), np.diff(rings.astype(np.int64))
    segments = np.maximum(sizes - 1, 0)
    counts = np.where(sizes > 0, np.maximum(-(-segments // _RUN), 1), 0)
    ring = np.repeat(np.arange(len(sizes)), counts)
    within = np.arange(len(ring)) - np.repeat(np.cumsum(counts) - counts, counts)
    first = starts[ring] + within * _RUN
    size = np.minimum(segments[ring] - within * _RUN, _RUN)
    feature = _features_of_rings(ragged)[ring]
    runs = np.column_stack([first, size, feature, ring]).astype(np.uint32)
    boxes = _boxes(vertices, first, size)
    usable = np.isfinite(boxes).all(axis=1)
    return runs[usable], boxes[usable]


def _features_of_rings(ragged: Ragged) -> npt.NDArray[np.int64]:
    of_parts = np.repeat(np.arange(len(ragged)), np.diff(ragged.features.astype(np.int64)))
    return np.repeat(of_parts, np.diff(ragged.parts.astype(np.int64)))


def _boxes(vertices: _Points, first: _Array, size: _Array) -> _Points:
    """West, south, east, north of each run."""
    if not len(first):
        return np.empty((0, 4))
    padded = np.vstack([vertices, vertices[-1:]])  # reduceat wants an end inside
    ends = np.column_stack([first, first + size + 1]).ravel()
    low = np.minimum.reduceat(padded, ends)[::2]
    high = np.maximum.reduceat(padded, ends)[::2]
    return np.hstack([low, high])


def _in_space(boxes: _Points) -> npt.NDArray[np.intp]:
    """The order along the Hilbert curve through the boxes' centres."""
    if not len(boxes):
        return np.empty(0, dtype=np.intp)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    low = centres.min(axis=0)
    extent = max(float((centres.max(axis=0) - low).max()), float(np.finfo(np.float64).tiny))
    steps = np.minimum((centres - low) / extent * (1 << _LEVEL), (1 << _LEVEL) - 1)
    x, y = steps.astype(np.int64).T
    return np.argsort(hilbert(x, y, _LEVEL), kind="stable")


def _blocks(boxes: _Points) -> npt.NDArray[np.float32]:
    """All levels of the tree, the lowest first; boxes are rounded outwards."""
    low, high = boxes[:, :2].astype(np.float32), boxes[:, 2:].astype(np.float32)
    low = np.where(low > boxes[:, :2], np.nextafter(low, np.float32(-np.inf)), low)
    high = np.where(high < boxes[:, 2:], np.nextafter(high, np.float32(np.inf)), high)
    level, made = np.hstack([low, high]), [np.empty((0, 4 * FANOUT), dtype=np.float32)]
    while len(level) and (len(level) > 1 or len(made) == 1):
        count = -(-len(level) // FANOUT)
        padded = np.full((count * FANOUT, 4), np.inf, dtype=np.float32)
        padded[:, 2:] = -np.inf
        padded[: len(level)] = level
        grouped = padded.reshape(count, FANOUT, 4)
        made.append(grouped.transpose(0, 2, 1).reshape(count, 4 * FANOUT))
        level = np.hstack([grouped[:, :, :2].min(axis=1), grouped[:, :, 2:].max(axis=1)])
    return np.vstack(made)


def _measures(
    ragged: Ragged, rings: _Array, vertices: _Points, geodetic: Geodetic
) -> npt.NDArray[np.float64]:
    """Metres along each feature: its parts follow each other, the gaps between them not counted."""
    if not len(vertices):
        return np.empty(0)
    steps = np.zeros(len(vertices))
    lengths = geodetic.lengths(vertices[:-1], vertices[1:])
    steps[1:] = np.where(np.isfinite(lengths), lengths, 0)
    begins = rings[:-1][rings[:-1] < len(vertices)]
    steps[begins.astype(np.intp)] = 0
    measures = np.cumsum(steps)
    starts = rings[ragged.parts[ragged.features].astype(np.intp)].astype(np.int64)
    sizes = np.diff(starts)
    filled = sizes > 0
    measures -= np.repeat(measures[starts[:-1][filled]], sizes[filled])
    return measures
