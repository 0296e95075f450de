"""The indexes that a layer file gets besides its features: whoever has one is named here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from geoweir.spatial.file.writer import FileWriter
from geoweir.spatial.ragged import Ragged

__all__ = ["BUILDERS", "Builder"]

#: Adds sections to a file that holds the features already: gets them, their boxes (f8 x 4), and
#: the CRS's name. The arrays are maps of the file: reading them takes no memory of the process's.
Builder = Callable[[FileWriter, Ragged, npt.NDArray[np.float64], str], None]

BUILDERS: Final[tuple[Builder, ...]] = ()
