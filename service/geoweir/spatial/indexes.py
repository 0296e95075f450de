"""The indexes that a layer file gets besides its features: whoever has one is named here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from geoweir.spatial.ragged import Ragged

__all__ = ["BUILDERS", "Builder"]

#: Gives sections by name for the features, their boxes (f8 x 4) and the CRS's name.
Builder = Callable[[Ragged, npt.NDArray[np.float64], str], dict[str, npt.NDArray[Any]]]

BUILDERS: Final[tuple[Builder, ...]] = ()
