"""What all operations on a cloud share: points as rows, cells by number, faults by name.

A cloud is a float64 array of shape (points, 3): x, y, z in one CRS, C-contiguous and finite.
Operations give indices or columns, so that whoever has attributes of the points takes them along.
"""

from __future__ import annotations

import os
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from geoweir.errors import GeoweirError

__all__ = [
    "SEED",
    "CloudError",
    "Points",
    "buffer",
    "cell_numbers",
    "checked",
    "finite_rows",
    "usable",
]

Points = npt.NDArray[np.float64]

#: Of the kernel's hashing: senders don't know it, and no answer depends on it.
SEED: Final = int.from_bytes(os.urandom(8), "little")
#: Cells from zero; beyond, a double can't hold half a cell. As in cloud.c.
_FARTHEST: Final = 2.0**52


class CloudError(GeoweirError):
    """A cloud can't be treated as asked; the feature's error."""


def finite_rows(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_] | None:
    """Which rows hold nothing but finite numbers; None: all of them.

    That is nearly always so, and telling it apart spares a copy of the cloud.
    """
    finite = np.isfinite(rows)
    return None if finite.all() else np.asarray(finite.all(axis=1))


def usable(rows: npt.NDArray[np.float64]) -> Points:
    """The rows that are finite in x, y and z, as a cloud."""
    finite = finite_rows(rows)
    kept = rows if finite is None else rows[finite]
    return np.ascontiguousarray(kept, dtype=np.float64)


def cell_numbers(columns: npt.NDArray[np.float64], size: float) -> npt.NDArray[np.int64]:
    """In which cell of edge ``size`` each value lies, counted from zero; CloudError if too far."""
    cells = columns / size
    if not (np.abs(cells) < _FARTHEST).all():
        raise too_far(size)
    return np.asarray(np.floor(cells).astype(np.int64))


def too_far(size: float) -> CloudError:
    """What is said of cells that a double can't tell apart."""
    return CloudError(f"cells of {size:g} are too small for coordinates of this size")


def checked(result: int, size: float) -> int:
    """The kernel's result; its faults as they are raised without a kernel."""
    if result == -1:
        raise MemoryError
    if result == -2:  # noqa: PLR2004 - as in cloud.h
        raise too_far(size)
    if result < 0:
        raise CloudError("the cloud has more points than can be counted")
    return result


def buffer(ffi: Any, kind: str, array: npt.NDArray[Any]) -> Any:  # noqa: ANN401 - cffi has no types
    """An array as the kernel's pointer; it must be C-contiguous and of that kind."""
    return ffi.from_buffer(f"{kind}[]", array)
