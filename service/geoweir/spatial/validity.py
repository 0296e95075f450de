"""Whether geometries are valid, why not, and their repair within bounds.

Validity is checked on the whole array; GEOS's reason is computed for the invalid ones only.
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import shapely

from geoweir.spatial.crossings import crossings
from geoweir.spatial.crs import Geometries

__all__ = ["MAX_VERTICES", "Method", "check", "invalid", "repair", "too_complex"]

Method = Literal["structure", "linework"]

#: Looking for crossings takes 12 ms at 500 vertices, and the square of that at more.
MAX_VERTICES: Final = 500
#: What a repair costs grows with them: as many take 30 ms by structure and 100 ms by linework.
#: Six public sets of borders have 0 to 5 at any broken place.
_MAX_CROSSINGS: Final[dict[Method, int]] = {"structure": 5000, "linework": 500}
#: Beyond, counting would be dear itself: whoever raises ``max_vertices`` so far takes the risk.
_COUNTED: Final = 2000


def invalid(geometries: Geometries) -> npt.NDArray[np.intp]:
    """Indices of the invalid geometries; None is neither valid nor invalid."""
    return np.flatnonzero(~shapely.is_valid(geometries) & ~shapely.is_missing(geometries))


def check(geometries: Geometries) -> list[str | None]:
    """Per geometry None, or GEOS's reason and where, such as ``Self-intersection[0.5 0.5]``."""
    reasons: list[str | None] = [None] * len(geometries)
    wrong = invalid(geometries)
    for index, reason in zip(wrong, shapely.is_valid_reason(geometries[wrong]), strict=True):
        reasons[index] = str(reason)
    return reasons


def too_complex(geometry: shapely.Geometry, max_vertices: int, method: Method) -> str | None:
    """None, or that the geometry has more vertices or crossings than may be repaired."""
    count = shapely.get_num_coordinates(geometry)
    if count > max_vertices:
        return f"too complex to repair: {count} vertices, at most {max_vertices} are allowed"
    most = _MAX_CROSSINGS[method]
    if count <= _COUNTED and crossings(geometry, most) > most:
        return f"too complex to repair: its segments cross at over {most} places"
    return None


def repair(geometry: shapely.Geometry, method: Method) -> shapely.Geometry | None:
    """A valid geometry made of an invalid one, None where that left nothing or failed.

    The caller has asked ``too_complex``.

    Raises:
        shapely.errors.GEOSException: GEOS gave up.
    """
    repaired = shapely.make_valid(geometry, method=method)
    return repaired if shapely.is_valid(repaired) and not shapely.is_empty(repaired) else None
