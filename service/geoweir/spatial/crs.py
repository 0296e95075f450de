"""Coordinate reference systems: which names are known, and coordinates from one into another.

A CRS string can name a file to read, a grid to download or a megabyte of parameters, and a name
that PROJ doesn't know costs 150 ms of fuzzy search. So a name reaches PROJ only when the
configuration holds exactly the same text. Axis order is x, y (longitude, latitude) everywhere.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
import pyproj
import shapely
from pyproj.exceptions import CRSError
from pyproj.network import (  # type: ignore[attr-defined]  # re-exported without saying so
    is_network_enabled,
    set_network_enabled,
)

from geoweir.errors import ConfigurationError

__all__ = [
    "Crs",
    "Geometries",
    "KnownCrs",
    "from_wkt",
    "is_degrees",
    "is_geographic",
    "name_of",
    "parse",
    "reproject",
    "reproject_points",
    "transformed",
    "transformed_points",
    "transformer",
]

Geometries = npt.NDArray[np.object_]
#: A name of the configuration, or what a source of a layer describes without a name.
Crs = str | pyproj.CRS
_Numbers = npt.NDArray[np.float64]
_Flags = npt.NDArray[np.bool_]

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,15}:[A-Za-z0-9_]{1,15}")
_CACHED: Final = 64  # about 51 KB each
_WORLD: Final = "OGC:CRS84"
#: Areas of use are published rounded to hundredths of a degree.
_AREA_ROUNDING: Final = 0.01
_DEGREE: Final = math.pi / 180


def _without_network() -> None:
    """Forbids PROJ to fetch grids, and makes sure of it."""
    os.environ["PROJ_NETWORK"] = "OFF"
    set_network_enabled(active=False)
    if is_network_enabled():
        raise ConfigurationError("PROJ keeps its network access on; it must be off.")


def parse(name: str) -> pyproj.CRS:
    """The CRS of a name from the configuration, such as ``EPSG:25832``.

    Never give it a name from a payload: see KnownCrs.

    Raises:
        ConfigurationError: not of the form AUTHORITY:CODE, or not known to PROJ.
    """
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name[:80]!r} is no CRS name. Give an authority and a code, for example EPSG:4326."
        )
    return _parsed(name)


@lru_cache(maxsize=_CACHED)
def _parsed(name: str) -> pyproj.CRS:
    _without_network()
    try:
        return pyproj.CRS.from_user_input(name)
    except CRSError as error:
        raise ConfigurationError(
            f"the CRS {name} is not known to PROJ. Give another, for example EPSG:4326."
        ) from error


def from_wkt(text: str) -> pyproj.CRS:
    """The CRS that a source of a layer describes at length, without having a name for it.

    Raises:
        ConfigurationError: PROJ can't read it.
    """
    _without_network()
    try:
        return pyproj.CRS.from_wkt(text)
    except CRSError as error:
        raise ConfigurationError(
            "PROJ can't read the CRS that it describes. Give it with --source-crs."
        ) from error


def _known(crs: Crs) -> pyproj.CRS:
    return parse(crs) if isinstance(crs, str) else crs


def name_of(crs: Crs) -> str:
    """What people call it."""
    return crs if isinstance(crs, str) else str(crs.name)


def is_geographic(crs: Crs) -> bool:
    """Whether the CRS has longitudes and latitudes; a name comes from the configuration."""
    return bool(_known(crs).is_geographic)


@lru_cache(maxsize=_CACHED)
def transformer(src: Crs, dst: Crs) -> pyproj.Transformer:
    """The transformer between two CRSs of the configuration, x before y, kept for the next call."""
    return pyproj.Transformer.from_crs(_known(src), _known(dst), always_xy=True)


class KnownCrs:
    """The CRSs that the configuration names: the only ones that reach PROJ."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = frozenset(names)
        for name in self.names:
            parse(name)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def require(self, name: str) -> str:
        """Gives the name back; ConfigurationError where the configuration doesn't hold it."""
        if name not in self.names:
            known = ", ".join(sorted(self.names))
            raise ConfigurationError(
                f"the CRS {name[:40]!r} is not one that the configuration names ({known})."
            )
        return name

    def transformer(self, src: str, dst: str) -> pyproj.Transformer:
        """The transformer between two known CRSs; ConfigurationError for any other name."""
        return transformer(self.require(src), self.require(dst))


def transformed(geometries: Geometries, src: Crs, dst: Crs) -> Geometries:
    """Geometries in ``dst``, z as it was; what has no image gets non-finite coordinates.

    None and empty geometries stay as they are. The caller sorts out what isn't finite.
    """
    result = geometries.copy()
    has_z = shapely.has_z(geometries)
    for flat in (False, True):
        group = np.flatnonzero(has_z != flat)
        if group.size:
            result[group] = _moved(geometries[group], src, dst, include_z=not flat)
    return result


def transformed_points(points: _Numbers, src: Crs, dst: Crs) -> _Numbers:
    """``transformed`` of points as f8 (n, 2); one with NaN stays without an image."""
    return np.column_stack(_points(transformer(src, dst), points[:, 0], points[:, 1]))


def _moved(geometries: Geometries, src: Crs, dst: Crs, *, include_z: bool) -> Geometries:
    coordinates = shapely.get_coordinates(geometries, include_z=include_z)
    coordinates[:, 0], coordinates[:, 1] = _points(
        transformer(src, dst), coordinates[:, 0], coordinates[:, 1]
    )
    moved: Geometries = shapely.set_coordinates(geometries.copy(), coordinates)
    return moved


def _points(by: pyproj.Transformer, x: _Numbers, y: _Numbers) -> tuple[_Numbers, _Numbers]:
    """Transformed columns; PROJ marks what it can't transform with inf."""
    moved = by.transform(np.ascontiguousarray(x), np.ascontiguousarray(y))
    return np.asarray(moved[0]), np.asarray(moved[1])


def reproject(geometries: Geometries, src: Crs, dst: Crs) -> tuple[Geometries, list[str | None]]:
    """Geometries in ``dst`` (x, y order, z as it was) and per geometry None or its error.

    A geometry with a coordinate that is outside ``dst``'s area of use, or that has no finite
    image, is in error and stays as it was: a result is never infinite. None and empty geometries
    pass. Both names come from the configuration.

    Args:
        geometries: one-dimensional object array in ``src``; not changed.
        src: the CRS that the geometries are in.
        dst: the CRS that they shall be in.
    """
    errors: list[str | None] = [None] * len(geometries)
    if src == dst:
        return geometries.copy(), errors
    result = transformed(geometries, src, dst)
    before, index = shapely.get_coordinates(geometries, return_index=True)
    refused = _refused(before, shapely.get_coordinates(result), src, dst)
    for row in sorted(refused, reverse=True):  # the first of a geometry is named
        errors[index[row]] = refused[row]
    wrong = np.unique(index[list(refused)])
    result[wrong] = geometries[wrong]
    return result, errors


def reproject_points(points: _Numbers, src: Crs, dst: Crs) -> tuple[_Numbers, dict[int, str]]:
    """``reproject`` of finite points as f8 (n, 2); errors by the point's index."""
    if src == dst:
        return points.copy(), {}
    moved = transformed_points(points, src, dst)
    refused = _refused(points, moved, src, dst)
    wrong = list(refused)
    moved[wrong] = points[wrong]
    return moved, refused


def _refused(before: _Numbers, after: _Numbers, src: Crs, dst: Crs) -> dict[int, str]:
    """What is wrong with positions, by row."""
    finite: _Flags = np.asarray(np.isfinite(np.hstack([before, after])).all(axis=1))
    lawful = finite & _in_area(before, after, src, dst)
    return {
        row: _refusal(before[row], src, dst, has_image=bool(finite[row]))
        for row in np.flatnonzero(~lawful).tolist()
    }


def _refusal(position: _Numbers, src: Crs, dst: Crs, *, has_image: bool) -> str:
    name = name_of(dst)
    why = f"is outside the area of use of {name}" if has_image else f"has no image in {name}"
    return f"the coordinate {position[0]:.12g} {position[1]:.12g} ({name_of(src)}) {why}"


def _in_area(before: _Numbers, after: _Numbers, src: Crs, dst: Crs) -> _Flags:
    """Which rows are possible in ``src`` and within ``dst``'s area of use."""
    lawful = np.ones(len(before), dtype=np.bool_)
    if is_degrees(src):  # one turn more is usual in shapes across the antimeridian
        lawful &= (np.abs(before[:, 1]) <= 90) & (np.abs(before[:, 0]) <= 540)  # noqa: PLR2004
    area = _known(dst).area_of_use
    if area is not None:
        degrees = _degrees(before, after, src, dst)
        lawful &= _within(degrees, area.bounds)
    return lawful


def is_degrees(name: Crs) -> bool:
    """Whether the coordinates are degrees from Greenwich, as areas of use are."""
    crs = _known(name)
    return (
        crs.is_geographic
        and math.isclose(crs.axis_info[0].unit_conversion_factor, _DEGREE, rel_tol=1e-9)
        and (crs.prime_meridian is None or crs.prime_meridian.longitude == 0)
    )


def _degrees(before: _Numbers, after: _Numbers, src: Crs, dst: Crs) -> _Numbers:
    if is_degrees(src):
        return before
    if is_degrees(dst):
        return after
    return np.column_stack(_points(transformer(src, _WORLD), before[:, 0], before[:, 1]))


def _within(degrees: _Numbers, bounds: tuple[float, float, float, float]) -> _Flags:
    """Which rows lie in the bounds, which may cross the antimeridian (west > east).

    Comparisons are written so that NaN is outside.
    """
    west, south, east, north = bounds
    if east < west:
        east += 360
    pad = _AREA_ROUNDING
    longitude: _Numbers = np.mod(degrees[:, 0] + 180, 360) - 180
    latitude = degrees[:, 1]
    across = (west - pad <= longitude) & (longitude <= east + pad)
    across |= (west - pad <= longitude + 360) & (longitude + 360 <= east + pad)
    flags: _Flags = across & (south - pad <= latitude) & (latitude <= north + pad)
    return flags
