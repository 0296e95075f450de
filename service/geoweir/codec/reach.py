"""How far coordinates may reach: the stream's limit, and for degrees the sphere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from geoweir.core.spec import StreamSpec

__all__ = ["GEOGRAPHIC", "Reach", "reach_of"]

#: Names of the CRSs whose coordinates are degrees for us.
GEOGRAPHIC: Final = frozenset({"EPSG:4326", "OGC:CRS84"})
_FARTHEST_LON: Final = 540.0  # the range, and half a turn to either side
_FARTHEST_LAT: Final = 90.0


@dataclass(frozen=True, slots=True)
class Reach:
    """The largest absolute ordinates that are taken for coordinates, in the stream's CRS."""

    x: float
    y: float
    z: float


def reach_of(spec: StreamSpec) -> Reach:
    """The stream's reach: its limit, and for degrees the sphere and half a turn more."""
    limit = spec.limits.coordinate
    if spec.crs in GEOGRAPHIC:
        return Reach(min(limit, _FARTHEST_LON), min(limit, _FARTHEST_LAT), limit)
    return Reach(limit, limit, limit)
