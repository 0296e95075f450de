"""The indexes that a layer file gets besides its features: whoever has one is named here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from geoweir.spatial.boxes import box_sections
from geoweir.spatial.cells import cell_sections
from geoweir.spatial.file.writer import FileWriter
from geoweir.spatial.ragged import Ragged
from geoweir.spatial.segments import segment_sections

__all__ = ["BUILDERS", "Builder"]

#: Adds sections to a file that holds the features already: gets them, their boxes (f8 x 4), and
#: the CRS's name. The arrays are maps of the file: reading them takes no memory of the process's.
Builder = Callable[[FileWriter, Ragged, npt.NDArray[np.float64], str], None]

_Sections = Callable[[Ragged, npt.NDArray[np.float64], str], Mapping[str, npt.NDArray[Any]]]


def _adding(sections: _Sections) -> Builder:
    def add(file: FileWriter, ragged: Ragged, boxes: npt.NDArray[np.float64], crs: str) -> None:
        for name, array in sections(ragged, boxes, crs).items():
            file.add(name, array)

    return add


BUILDERS: Final[tuple[Builder, ...]] = tuple(
    map(_adding, (box_sections, cell_sections, segment_sections))
)
