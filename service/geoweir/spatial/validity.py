"""Whether geometries are valid, why not, and their repair within bounds.

Validity is checked on the whole array; GEOS's reason is computed for the invalid ones only.
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import shapely

from geoweir.spatial.crs import Geometries

__all__ = ["MAX_VERTICES", "Method", "check", "invalid", "repair", "too_complex"]

Method = Literal["structure", "linework"]

#: The cost of a repair grows with the cube of the vertices: 500 random ones take about 0.5 s by
#: structure, and over 30 s by linework.
MAX_VERTICES: Final = 500


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


def too_complex(geometry: shapely.Geometry, max_vertices: int) -> str | None:
    """None, or that the geometry has more vertices than may be repaired."""
    count = shapely.get_num_coordinates(geometry)
    if count <= max_vertices:
        return None
    return f"too complex to repair: {count} vertices, at most {max_vertices} are allowed"


def repair(geometry: shapely.Geometry, method: Method) -> shapely.Geometry | None:
    """A valid geometry made of an invalid one, None where that left nothing or failed.

    The caller has bounded the vertices.

    Raises:
        shapely.errors.GEOSException: GEOS gave up.
    """
    repaired = shapely.make_valid(geometry, method=method)
    return repaired if shapely.is_valid(repaired) and not shapely.is_empty(repaired) else None
