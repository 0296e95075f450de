"""Lines that are straight in one CRS as lines in degrees: cut where they bend."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from geoweir.spatial.geodetic import Geodetic

__all__ = ["straightened"]

_Array = npt.NDArray[Any]
_Points = npt.NDArray[np.float64]

#: Metres that the middle of a piece may lie beside the line.
_STRAIGHT: Final = 0.000_25
_MOST: Final = 4096  # pieces of a segment
_LOOKS: Final = (0.25, 0.5, 0.75)  # where on a segment its bend is measured


def straightened(
    rings: _Array, vertices: _Points, crs: str, geodetic: Geodetic
) -> tuple[npt.NDArray[np.uint64], _Points]:
    """Rings and vertices in degrees, with vertices added between those of the CRS.

    A curve's distance from its chord falls with the square of the chord's length, so a segment that
    bends by d is cut into sqrt(d / 0.25 mm) equal pieces, at most 4,096.
    """
    degrees = geodetic.degrees(vertices, crs)
    if len(vertices) < 2:  # noqa: PLR2004 - no segment
        return rings.astype(np.uint64), degrees
    pieces = _pieces(vertices, degrees, crs, geodetic)
    ends = rings[1:].astype(np.int64) - 1
    pieces[ends[(ends >= 0) & (ends < len(pieces))]] = 1  # from one ring to the next is no segment
    owner = np.repeat(np.arange(len(vertices)), pieces)
    first = np.cumsum(pieces) - pieces
    share = (np.arange(len(owner)) - first[owner]) / pieces[owner]
    onwards = np.minimum(owner + 1, len(vertices) - 1)
    added = np.flatnonzero(share > 0)
    between = vertices[owner[added]] * (1 - share[added, None])
    between += vertices[onwards[added]] * share[added, None]
    made = degrees[owner]
    made[added] = geodetic.degrees(between, crs)
    offsets = np.append(first, len(owner))[rings.astype(np.intp)]
    return offsets.astype(np.uint64), made


def _pieces(
    vertices: _Points, degrees: _Points, crs: str, geodetic: Geodetic
) -> npt.NDArray[np.int64]:
    """Into how many pieces the segment from each vertex to the next is to be cut."""
    bend = np.zeros(len(vertices))
    for look in _LOOKS:
        exact = geodetic.degrees(vertices[:-1] * (1 - look) + vertices[1:] * look, crs)
        plain = degrees[:-1] * (1 - look) + degrees[1:] * look
        usable = np.flatnonzero(np.isfinite(exact).all(axis=1) & np.isfinite(plain).all(axis=1))
        lengths = geodetic.lengths(exact[usable], plain[usable])
        bend[usable] = np.maximum(bend[usable], lengths)
    return np.clip(np.ceil(np.sqrt(bend / _STRAIGHT)), 1, _MOST).astype(np.int64)
