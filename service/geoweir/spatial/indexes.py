"""The indexes that a layer file gets besides its features: whoever has one is named here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from geoweir.spatial.boxes import upper_levels
from geoweir.spatial.cells import build_cells
from geoweir.spatial.ragged import Ragged

__all__ = ["BUILDERS", "Builder"]

#: Gives sections by name for the features, their boxes (f8 x 4) and the CRS's name.
Builder = Callable[[Ragged, npt.NDArray[np.float64], str], dict[str, npt.NDArray[Any]]]


def _boxes(ragged: Ragged, boxes: npt.NDArray[np.float64], crs: str) -> dict[str, npt.NDArray[Any]]:
    """See ``boxes``."""
    del ragged, crs
    return {"box_tree": upper_levels(boxes)}


def _cells(ragged: Ragged, boxes: npt.NDArray[np.float64], crs: str) -> dict[str, npt.NDArray[Any]]:
    """See ``cells``; nothing without a kernel."""
    del crs
    made = build_cells(ragged, boxes)
    if made is None:
        return {}
    return {"cells": made.frame, "cell_nodes": made.nodes, "cell_lists": made.lists}


BUILDERS: Final[tuple[Builder, ...]] = (_boxes, _cells)
