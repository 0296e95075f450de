"""The step ``nearest``: the feature of a layer that is nearest to a point, and the place on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import shapely

from geoweir.codec.features import Features
from geoweir.errors import ConfigurationError
from geoweir.spatial.layer import Column, Layer
from geoweir.spatial.ragged import LINES, SURFACES
from geoweir.steps.copying import copied
from geoweir.steps.join import pairs
from geoweir.steps.step import Indices, StepContext, singly

__all__ = ["Nearest"]

_POINT: Final = 0
_NONE: Final = -1
_ON: Final = 0.001  # metres beside a line that count as on it
_DECIMALS: Final = 4  # of metres: what is known of them, and no noise


class Nearest:
    """Puts the nearest feature's fields, and where on it, into ``properties``.

    Under ``{layer}_`` stand the attached fields (by default ``id``); ``distance``, metres on the
    ellipsoid; ``snapped``, the nearest place as [x, y] in the CRS that the features are in; and for
    lines ``measure``, metres along the line up to that place, and ``side``: ``left``, ``right`` or
    ``on``. All are null where nothing is within ``max_distance``. A polygon is at distance 0 from
    what it holds. A geometry that is no point is that feature's error.
    """

    def __init__(self, options: dict[str, Any], context: StepContext) -> None:
        self._layer = context.layer(options["layer"])
        self._reach = float(options["max_distance"])
        fields = options.get("attach") or ["id"]
        self._columns = {self._named(field): _column(self._layer, field) for field in fields}
        self._index = self._layer.segments()
        self._dimensions = self._index.dimensions
        self._has_surfaces = bool((self._dimensions == SURFACES).any())

    def run(self, features: Features) -> None:
        """Changes ``properties``; a null or empty geometry is near to nothing."""
        alive = features.alive()
        if features.positions is None:
            alive = self._points_only(features, alive)
        singly(features, alive, lambda some: self._attach(features, some))

    def _points_only(self, features: Features, alive: Indices) -> Indices:
        kinds = shapely.get_type_id(features.geometry[alive])
        usable = (kinds == _POINT) | (kinds == _NONE)
        for index in alive[~usable].tolist():
            kind = features.geometry[index].geom_type
            features.errors[index] = f"nearest takes points, and this is a {kind}"
        points: Indices = alive[usable]
        return points

    def _named(self, field: str) -> str:
        return f"{self._layer.name}_{field}"

    def _attach(self, features: Features, some: Indices) -> None:
        points = _positions(features, some)
        degrees = self._index.geodetic.degrees(points, features.crs)
        found = self._index.nearest(degrees, self._reach)
        hits = np.flatnonzero(found["vertex"] >= 0)
        snapped = np.full((len(some), 2), np.nan)
        places = np.column_stack([found["lon"][hits], found["lat"][hits]])
        snapped[hits] = self._index.geodetic.points(places, features.crs)
        if self._has_surfaces:
            inside, theirs = pairs(self._layer, features, some, "intersects", "first")
            found["feature"][inside], found["distance"][inside] = theirs, 0
            snapped[inside] = points[inside]
        self._write([features.properties[index] for index in some.tolist()], found, snapped)

    def _write(
        self,
        rows: list[dict[str, Any]],
        found: npt.NDArray[Any],
        snapped: npt.NDArray[np.float64],
    ) -> None:
        hits = np.flatnonzero(found["feature"] >= 0)
        for name, column in self._columns.items():
            for row in rows:
                row[name] = None
            attached = column.values(found["feature"][hits])
            for hit, value in zip(hits.tolist(), attached, strict=True):
                rows[hit][name] = copied(value)
        is_line = np.zeros(len(rows), dtype=np.bool_)
        is_line[hits] = self._dimensions[found["feature"][hits]] == LINES
        answers: dict[str, Sequence[object]] = {
            "distance": _numbers(found["distance"]),
            "snapped": _places(snapped),
            "measure": _numbers(np.where(is_line, found["measure"], np.nan)),
            "side": _sides(np.where(is_line, found["offset"], np.nan)),
        }
        for field, values in answers.items():
            name = self._named(field)
            for row, value in zip(rows, values, strict=True):
                row[name] = value


def _column(layer: Layer, field: str) -> Column:
    try:
        return layer.column(field)
    except KeyError:
        raise ConfigurationError(
            f"nearest: no feature of layer {layer.name} has {field!r}. "
            "Attach a field that its features have, or id."
        ) from None


def _positions(features: Features, some: Indices) -> npt.NDArray[np.float64]:
    """f8 (points, 2); NaN for none and for an empty one."""
    if features.positions is not None:
        return features.positions[some, :2]
    coordinates, index = shapely.get_coordinates(features.geometry[some], return_index=True)
    positions = np.full((len(some), 2), np.nan)
    positions[index] = coordinates
    return positions


def _numbers(values: npt.NDArray[np.float64]) -> list[float | None]:
    rounded = np.round(values, _DECIMALS).tolist()
    return [None if math.isnan(value) else value for value in rounded]


def _places(values: npt.NDArray[np.float64]) -> list[list[float] | None]:
    return [place if math.isfinite(sum(place)) else None for place in values.tolist()]


def _sides(offsets: npt.NDArray[np.float64]) -> list[str | None]:
    return [None if math.isnan(offset) else _side(offset) for offset in offsets.tolist()]


def _side(offset: float) -> str:
    if abs(offset) <= _ON:
        return "on"
    return "left" if offset > 0 else "right"
