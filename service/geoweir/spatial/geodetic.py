"""The ellipsoid under a CRS: its longitudes and latitudes in degrees, and true lengths on it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyproj

from geoweir.errors import ConfigurationError
from geoweir.spatial.crs import parse, transformer

__all__ = ["Geodetic"]

_Points = npt.NDArray[np.float64]
_Lengths = npt.NDArray[np.float64]

_DEGREE: Final = math.pi / 180


@dataclass(frozen=True, slots=True)
class Geodetic:
    """A geographic CRS; positions are (n, 2), longitude before latitude, in degrees.

    Attributes:
        name: the CRS, such as EPSG:4326.
        unit: degrees in one of its units: 1, or 0.9 where it has grads.
        geod: lengths on its ellipsoid, by Karney's method.
    """

    name: str
    unit: float
    geod: pyproj.Geod

    @classmethod
    def under(cls, crs: str) -> Geodetic:
        """The geographic CRS that a CRS of the configuration is made of, or that it is itself.

        Raises:
            ConfigurationError: there is none, or none with a name.
        """
        return _under(crs)

    def degrees(self, points: _Points, crs: str) -> _Points:
        """Positions in degrees of points in a CRS; not finite where there are none."""
        if crs == self.name:
            return points if self.unit == 1 else points * self.unit
        return _moved(points, crs, self.name) * self.unit

    def points(self, degrees: _Points, crs: str) -> _Points:
        """The way back from ``degrees``."""
        own = degrees if self.unit == 1 else degrees / self.unit
        return own if crs == self.name else _moved(own, self.name, crs)

    def lengths(self, start: _Points, end: _Points) -> _Lengths:
        """Metres of the geodesics between positions in degrees, pair by pair."""
        (x, y), (to_x, to_y) = _columns(start), _columns(end)
        return np.asarray(self.geod.inv(x, y, to_x, to_y)[2], dtype=np.float64)


@lru_cache(maxsize=64)
def _under(crs: str) -> Geodetic:
    base = parse(crs).geodetic_crs
    authority = None if base is None or not base.is_geographic else base.to_authority()
    if base is None or authority is None:
        raise ConfigurationError(
            f"the CRS {crs} has no longitudes and latitudes underneath that PROJ knows by name. "
            "Give another, for example EPSG:4326."
        )
    factor = base.axis_info[0].unit_conversion_factor / _DEGREE
    unit = 1.0 if math.isclose(factor, 1, rel_tol=1e-9) else factor
    return Geodetic(":".join(authority), unit, base.get_geod() or pyproj.Geod(ellps="WGS84"))


def _columns(points: _Points) -> tuple[Any, Any]:
    return np.ascontiguousarray(points[:, 0]), np.ascontiguousarray(points[:, 1])


def _moved(points: _Points, src: str, dst: str) -> _Points:
    return np.column_stack(transformer(src, dst).transform(*_columns(points)))
