"""The order of a layer's features: along a Hilbert curve through the centres of their boxes.

What is near in space is near in the file then, and a tree over the boxes needs no sorting.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["hilbert", "in_space"]

_LEVEL: Final = 16  # bits of the curve per axis
_SLICE: Final = 1 << 16


def in_space(boxes: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """Indices in the order along the curve; what has no geometry comes last.

    Args:
        boxes: f8 (features, 4): least x, least y, greatest x, greatest y; NaN without a geometry.
    """
    present = np.flatnonzero(np.isfinite(boxes).all(axis=1))
    absent = np.setdiff1d(np.arange(len(boxes)), present)
    if not present.size:
        return absent
    centres = boxes[present, :2] / 2 + boxes[present, 2:] / 2
    low = centres.min(axis=0)
    extent = max(float((centres.max(axis=0) - low).max()), np.finfo(np.float64).tiny)
    along = np.empty(len(present), dtype=np.uint32)
    for at in range(0, len(present), _SLICE):
        some = slice(at, at + _SLICE)
        steps = np.minimum((centres[some] - low) / extent * (1 << _LEVEL), (1 << _LEVEL) - 1)
        along[some] = hilbert(*steps.astype(np.int64).T, _LEVEL)
    return np.concatenate([present[np.argsort(along, kind="stable")], absent])


def hilbert(x: npt.NDArray[np.int64], y: npt.NDArray[np.int64], bits: int) -> npt.NDArray[np.int64]:
    """Distance along the Hilbert curve of integer points below ``2 ** bits`` on both axes.

    The usual construction from the highest bit down: each quadrant turns what lies in it.
    """
    x, y = x.copy(), y.copy()
    distance = np.zeros_like(x)
    for level in range(bits - 1, -1, -1):
        side = 1 << level
        right, upper = (x & side) > 0, (y & side) > 0
        distance = distance * 4 + np.where(right, np.where(upper, 2, 3), np.where(upper, 1, 0))
        flip = right & ~upper
        x[flip], y[flip] = side - 1 - (x[flip] & (side - 1)), side - 1 - (y[flip] & (side - 1))
        turn = ~upper
        x[turn], y[turn] = y[turn].copy(), x[turn].copy()
    return distance
