"""The Hilbert curve: what is near on it is near in the plane."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["hilbert"]


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
