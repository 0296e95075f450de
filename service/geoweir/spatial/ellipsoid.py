"""Short ways on an ellipsoid by chords, on arrays; ``kernel/segments.c`` in numpy.

Frames are the kernel's: x in the meridian of the origin, z the axis of the earth; metres, degrees.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = ["Ellipsoid", "Origins", "Places"]

_Array = npt.NDArray[Any]
_Numbers = npt.NDArray[np.float64]

_DEGREE: Final = np.pi / 180


@dataclass(frozen=True, slots=True, eq=False)
class Origins:
    """Points that distances are measured from."""

    lon: _Numbers
    lat: _Numbers
    sin_lat: _Numbers
    cos_lat: _Numbers
    x: _Numbers
    z: _Numbers

    def take(self, some: _Array) -> Origins:
        """Some of them."""
        return Origins(
            self.lon[some],
            self.lat[some],
            self.sin_lat[some],
            self.cos_lat[some],
            self.x[some],
            self.z[some],
        )


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Places as seen from an origin each.

    Attributes:
        dx: metres of the chord in the origin's meridian, away from the axis.
        dy: metres across it.
        dz: metres along the axis.
        sin_lat: of the place's latitude, and so on.
        parallel: metres, the radius of its parallel.
        meridian: metres, the radius of curvature of its meridian.
    """

    dx: _Numbers
    dy: _Numbers
    dz: _Numbers
    sin_lat: _Numbers
    cos_lat: _Numbers
    sin_dlon: _Numbers
    cos_dlon: _Numbers
    parallel: _Numbers
    meridian: _Numbers

    def take(self, some: _Array) -> Places:
        """Some of them."""
        return Places(
            self.dx[some],
            self.dy[some],
            self.dz[some],
            self.sin_lat[some],
            self.cos_lat[some],
            self.sin_dlon[some],
            self.cos_dlon[some],
            self.parallel[some],
            self.meridian[some],
        )

    def squared(self) -> _Numbers:
        """Squared chords."""
        chords: _Numbers = self.dx**2 + self.dy**2 + self.dz**2
        return chords

    def away(self) -> tuple[_Numbers, _Numbers]:
        """Metres from the origin to the place, east and north at the place."""
        outwards = self.dx * self.cos_dlon + self.dy * self.sin_dlon
        east = self.dy * self.cos_dlon - self.dx * self.sin_dlon
        return east, self.dz * self.cos_lat - outwards * self.sin_lat


@dataclass(frozen=True, slots=True)
class Ellipsoid:
    """An ellipsoid: its greater half axis in metres, and its squared eccentricity."""

    a: float
    es: float

    def origins(self, lon: _Numbers, lat: _Numbers) -> Origins:
        """Points in degrees, as origins."""
        sine, cosine = np.sin(lat * _DEGREE), np.cos(lat * _DEGREE)
        radius = self._prime(sine)
        return Origins(lon, lat, sine, cosine, radius * cosine, radius * (1 - self.es) * sine)

    def places(self, origins: Origins, points: _Numbers) -> Places:
        """Points (n, 2) in degrees, each as seen from its origin."""
        up = (points[:, 1] - origins.lat) * _DEGREE
        across = (points[:, 0] - origins.lon) * _DEGREE
        sine = origins.sin_lat * np.cos(up) + origins.cos_lat * np.sin(up)
        cosine = origins.cos_lat * np.cos(up) - origins.sin_lat * np.sin(up)
        radius = self._prime(sine)
        parallel = radius * cosine
        return Places(
            dx=parallel * np.cos(across) - origins.x,
            dy=parallel * np.sin(across),
            dz=radius * (1 - self.es) * sine - origins.z,
            sin_lat=sine,
            cos_lat=cosine,
            sin_dlon=np.sin(across),
            cos_dlon=np.cos(across),
            parallel=parallel,
            meridian=self._meridian(sine),
        )

    def arcs(self, origins: Origins, places: Places) -> _Numbers:
        """Metres on the surface, by the curvature in the middle (Euler's formula)."""
        sine = (origins.sin_lat + places.sin_lat) / 2
        cosine = (origins.cos_lat + places.cos_lat) / 2
        prime, meridian = self._prime(sine), self._meridian(sine)
        north = meridian * (places.sin_lat * origins.cos_lat - places.cos_lat * origins.sin_lat)
        east = prime * cosine * places.sin_dlon
        both = north**2 + east**2
        curvature = np.divide(
            north**2 / meridian + east**2 / prime, both, out=np.zeros_like(both), where=both > 0
        )
        turn = places.squared() * curvature**2
        lengths: _Numbers = np.sqrt(places.squared()) * (
            1 + turn * (1 / 24 + turn * (3 / 640 + turn * 5 / 7168))
        )
        return lengths

    def least(self, origins: Origins, reach: _Numbers) -> tuple[_Numbers, _Numbers, _Numbers]:
        """The metric that is never longer than the ellipsoid's within ``reach`` metres.

        Returns:
            Metres per degree of longitude and of latitude, at least, and how many times longer
            than in this metric a way may be: infinite where a pole is within reach.
        """
        angle = reach / (self.a * (1 - self.es))
        high = np.abs(origins.sin_lat)
        outer = high * np.cos(angle) + origins.cos_lat * np.sin(angle)
        outer_cos = origins.cos_lat * np.cos(angle) - high * np.sin(angle)
        inner = high * np.cos(angle) - origins.cos_lat * np.sin(angle)
        inner_cos = np.where(inner > 0, origins.cos_lat * np.cos(angle) + high * np.sin(angle), 1)
        has_pole = ~((outer_cos > 0) & (angle < 89 * _DEGREE))
        outer, outer_cos = np.where(has_pole, 1, outer), np.where(has_pole, 0, outer_cos)
        inner = np.maximum(inner, 0)
        least, most = self._prime(outer) * outer_cos, self._prime(inner) * inner_cos
        up = self._meridian(inner)
        stretch = np.divide(most, least, out=np.full(len(least), np.inf), where=least > 0)
        return least * _DEGREE, up * _DEGREE, np.maximum(stretch, self._meridian(outer) / up)

    def _prime(self, sine: _Numbers) -> _Numbers:
        radius: _Numbers = self.a / np.sqrt(1 - self.es * sine**2)
        return radius

    def _meridian(self, sine: _Numbers) -> _Numbers:
        radius: _Numbers = self.a * (1 - self.es) / (1 - self.es * sine**2) ** 1.5
        return radius
