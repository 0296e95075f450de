"""What a feature's geometry must be to stand in a layer, and what is done where it isn't.

In this order: z is left out; what isn't finite is refused; parts of a lower dimension than the
feature's highest are stripped; the invalid is repaired or refused; longitudes beyond 180 degrees
are cut and shifted; coordinates are reprojected, and what that made invalid is repaired.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import shapely

from geoweir.spatial.compiling.antimeridian import (
    MOST_DEGREES,
    is_beyond,
    normalised,
    with_long_edges,
)
from geoweir.spatial.crs import Crs, Geometries, is_degrees, name_of, reproject
from geoweir.spatial.ragged import Ragged

__all__ = ["KINDS", "Cleaner", "Finding", "Kind", "Repair"]

Repair = Literal["structure", "linework", "none"]
#: What becomes of a feature: it is in the layer, mended; as it stood, but suspicious; or not.
Kind = Literal["repaired", "stripped", "cut", "noted", "refused"]
KINDS: Final[tuple[Kind, ...]] = ("repaired", "stripped", "cut", "noted", "refused")

_COLLECTION: Final = 7
_LATITUDES: Final = 90.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found at one feature: its position in the batch, what became of it, and why."""

    position: int
    kind: Kind
    reason: str


class Cleaner:
    """Makes geometries fit for a layer.

    Args:
        source: the CRS that they are in.
        target: the layer's, by name.
        repair: GEOS's method for the invalid; with ``none`` they are refused.
    """

    def __init__(self, source: Crs, target: str, repair: Repair) -> None:
        self._source = source
        self._target = target
        self._repair = repair
        self._is_degrees = is_degrees(source)
        self._ends_in_degrees = is_degrees(target)

    def clean(self, geometries: Geometries) -> tuple[Ragged, list[Finding]]:
        """The geometries as arrays, and what was found; the refused ones are empty.

        Args:
            geometries: object array in the source's CRS; not changed.
        """
        found: list[Finding] = []
        work = np.array(shapely.force_2d(geometries), dtype=object)
        _refuse_non_finite(work, found)
        _refuse_curves(work, found)
        self._strip(work, found)
        self._mend(work, found)
        if self._is_degrees:
            _turn(work, found)
        if name_of(self._source) != self._target:
            work, errors = reproject(work, self._source, self._target)
            for index, error in enumerate(errors):
                if error is not None:
                    _refuse(work, found, index, error)
            self._mend(work, found)
        work[shapely.is_empty(work)] = None
        ragged = Ragged.from_shapely(work)
        if self._ends_in_degrees:
            found.extend(
                Finding(
                    index,
                    "noted",
                    "an edge is longer than 180 degrees and runs through Greenwich: "
                    "if it should cross the antimeridian, cut the shape there (RFC 7946)",
                )
                for index in with_long_edges(ragged).tolist()
            )
        return ragged, found

    def _strip(self, work: Geometries, found: list[Finding]) -> None:
        """Collections become Multi-geometries of their parts of the highest dimension."""
        for index in np.flatnonzero(shapely.get_type_id(work) == _COLLECTION).tolist():
            parts = _flat(work[index])
            dimensions = shapely.get_dimensions(parts)
            highest = parts[dimensions == dimensions.max(initial=-1)]
            work[index] = _multi(highest)
            lost = len(parts) - len(highest)
            if lost:
                what = f"{lost} part{'s' if lost > 1 else ''} of another dimension left out"
                found.append(Finding(index, "stripped", what))

    def _mend(self, work: Geometries, found: list[Finding]) -> None:
        wrong = np.flatnonzero(~shapely.is_valid(work) & ~shapely.is_missing(work))
        reasons = shapely.is_valid_reason(work[wrong])
        for index, reason in zip(wrong.tolist(), reasons, strict=True):
            if self._repair == "none":
                _refuse(work, found, index, f"it is invalid: {reason}")
                continue
            mended = self._mended(work[index])
            if mended is None:
                _refuse(work, found, index, f"it is invalid and can't be repaired: {reason}")
            else:
                work[index] = mended
                found.append(Finding(index, "repaired", str(reason)))

    def _mended(self, geometry: shapely.Geometry) -> shapely.Geometry | None:
        """A valid geometry of the same dimension, None where nothing is left of it."""
        if self._repair == "none":
            return None
        try:
            made = shapely.make_valid(geometry, method=self._repair)
        except shapely.errors.GEOSException:
            return None
        parts = _flat(made)
        same = parts[shapely.get_dimensions(parts) == shapely.get_dimensions(geometry)]
        if not len(same):
            return None
        whole = same[0] if len(same) == 1 else shapely.union_all(same)
        return whole if shapely.is_valid(whole) and not shapely.is_empty(whole) else None


def _refuse(work: Geometries, found: list[Finding], index: int, reason: str) -> None:
    work[index] = None
    found.append(Finding(index, "refused", reason))


def _refuse_non_finite(work: Geometries, found: list[Finding]) -> None:
    coordinates, owners = shapely.get_coordinates(work, return_index=True)
    for index in np.unique(owners[~np.isfinite(coordinates).all(axis=1)]).tolist():
        _refuse(work, found, index, "a coordinate is not a finite number")


def _refuse_curves(work: Geometries, found: list[Finding]) -> None:
    for index in np.flatnonzero(shapely.get_type_id(work) > _COLLECTION).tolist():
        _refuse(work, found, index, "it is a curve: turn curves into lines first")


def _turn(work: Geometries, found: list[Finding]) -> None:
    """Longitudes into -180 to 180; what can't be degrees is refused."""
    bounds = shapely.bounds(work)
    wrong = (np.abs(bounds[:, [0, 2]]) > MOST_DEGREES).any(axis=1)
    wrong |= (np.abs(bounds[:, [1, 3]]) > _LATITUDES).any(axis=1)
    for index in np.flatnonzero(wrong).tolist():
        box = " ".join(f"{value:.9g}" for value in bounds[index])
        _refuse(work, found, index, f"its coordinates ({box}) are no longitudes and latitudes")
    for index in np.flatnonzero(is_beyond(work)).tolist():
        _each(work, found, index, normalised)


def _each(
    work: Geometries,
    found: list[Finding],
    index: int,
    change: Callable[[shapely.Geometry], shapely.Geometry],
) -> None:
    try:
        work[index] = change(work[index])
    except shapely.errors.GEOSException as error:
        _refuse(work, found, index, " ".join(str(error).split()))
    else:
        found.append(Finding(index, "cut", "longitudes beyond 180 degrees cut and shifted"))


def _flat(geometry: shapely.Geometry) -> Geometries:
    """The parts of a geometry, of collections within it too; empty ones left out."""
    parts = shapely.get_parts(geometry)
    while (shapely.get_type_id(parts) > 3).any():  # noqa: PLR2004 - Multi-geometries, collections
        parts = shapely.get_parts(parts)
    kept: Geometries = parts[~shapely.is_empty(parts)]
    return kept


def _multi(parts: Geometries) -> shapely.Geometry | None:
    """One geometry of parts of one dimension."""
    if len(parts) < 2:  # noqa: PLR2004
        return parts[0] if len(parts) else None
    make = (shapely.MultiPoint, shapely.MultiLineString, shapely.MultiPolygon)
    return make[int(shapely.get_dimensions(parts[0]))](parts.tolist())
