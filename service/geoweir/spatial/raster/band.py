"""What a band's numbers mean."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = ["DTYPES", "Band"]

#: What a band may hold, in the order of the kernel's types.
DTYPES: Final = ("u1", "i1", "<u2", "<i2", "<u4", "<i4", "<f4", "<f8")
_REALS: Final = ("<f4", "<f8")


@dataclass(frozen=True, slots=True)
class Band:
    """One band.

    Attributes:
        dtype: of DTYPES.
        nodata: the number that means no value, or None; a NaN is never a value.
        scale: a value is scale times what is stored, plus offset.
        offset: see there.
        is_masked: whether there are flags too that say which pixels have a value.
    """

    dtype: str
    nodata: float | None = None
    scale: float = 1.0
    offset: float = 0.0
    is_masked: bool = False

    @property
    def type_code(self) -> int:
        """The kernel's number of the type."""
        return DTYPES.index(self.dtype)

    @property
    def is_whole(self) -> bool:
        """Whether its values are whole numbers."""
        return self.dtype not in _REALS and not self.is_scaled

    @property
    def is_scaled(self) -> bool:
        """Whether values differ from what is stored."""
        return (self.scale, self.offset) != (1.0, 0.0)

    def valid(
        self, stored: npt.NDArray[Any], flags: npt.NDArray[Any] | None
    ) -> npt.NDArray[np.bool_]:
        """Which of the stored numbers are values; ``flags`` is 0 where there is none."""
        valid = stored == stored  # noqa: PLR0124 - false for NaN
        if self.nodata is not None:
            valid &= stored.astype(np.float64) != self.nodata
        if flags is not None:
            valid &= flags != 0
        return np.asarray(valid)

    def value(self, stored: float) -> float | int | None:
        """A stored number as a value: whole where the band is, None if not finite."""
        if self.is_scaled:
            stored = stored * self.scale + self.offset
        if not math.isfinite(stored):
            return None
        return int(stored) if self.is_whole else stored
