"""The features whose boxes meet a box: a packed R-tree over features in Hilbert order.

    box_tree    f8 x 4: the boxes of each 16 boxes, then of each 16 of those, up to a single one

The levels below are the file's ``boxes`` themselves, so the tree costs a fifteenth of them.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from geoweir.spatial.cells import Pairs, grown
from geoweir.spatial.file.mapped import MappedFile
from geoweir.spatial.kernel.loaded import ffi, lib

__all__ = ["Boxes", "upper_levels"]

_Boxes = npt.NDArray[np.float64]
_FANOUT: Final = 16  # as in boxes.c


def upper_levels(boxes: _Boxes) -> _Boxes:
    """f8 (nodes, 4): the levels above boxes of shape (features, 4); NaN boxes widen none."""
    levels = [np.empty((0, 4))]
    while len(boxes) > 1:
        starts = np.arange(0, len(boxes), _FANOUT)
        boxes = np.hstack(
            [
                np.fmin.reduceat(boxes[:, :2], starts),
                np.fmax.reduceat(boxes[:, 2:], starts),
            ]
        )
        levels.append(boxes)
    return np.vstack(levels)


class Boxes:
    """The boxes in an open file."""

    def __init__(self, boxes: _Boxes, upper: _Boxes) -> None:
        self._boxes, self._upper = boxes, upper

    @classmethod
    def open(cls, file: MappedFile) -> Boxes | None:
        """The boxes of a layer file; None without a kernel or where the file has no tree."""
        if lib is None or "box_tree" not in file.header.sections:
            return None
        return cls(file.array("boxes", "<f8", 4), file.array("box_tree", "<f8", 4))

    def meeting(self, queries: _Boxes) -> Pairs:
        """Pairs of (query, feature) whose boxes share at least a point, in ascending order.

        Args:
            queries: f8 (n, 4): least x, least y, greatest x, greatest y; NaN meets nothing.
        """
        given = np.ascontiguousarray(queries, dtype=np.float64)
        boxes, upper = _pointer(self._boxes), _pointer(self._upper)
        pointer = _pointer(given)

        def run(owners: Any, found: Any, room: int) -> int:  # noqa: ANN401 - cffi's pointers
            return int(
                lib.gw_boxes_meet(
                    boxes,
                    len(self._boxes),
                    upper,
                    len(self._upper),
                    pointer,
                    len(given),
                    owners,
                    found,
                    room,
                )
            )

        return grown(run, 4 * len(given) + 64)


def _pointer(array: _Boxes) -> Any:  # noqa: ANN401 - cffi's own
    return ffi.from_buffer("double[]", array)
