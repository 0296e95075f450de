"""The step ``sample``: a raster's value at the point."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import shapely

from geoweir.codec.features import Features
from geoweir.errors import ConfigurationError
from geoweir.spatial.crs import transformed
from geoweir.spatial.raster.sampling import Method
from geoweir.steps.shapes import of_types
from geoweir.steps.step import StepContext

__all__ = ["Sample"]


class Sample:
    """Puts the value into ``properties`` under ``as``, by default the raster's name.

    It is null where the raster has no value, outside it, and for a null or empty geometry. Another
    geometry than a Point is that feature's error: a line or polygon has no one value.
    """

    def __init__(self, options: dict[str, Any], context: StepContext) -> None:
        self._raster = context.raster(options["raster"])
        self._number: int = options.get("band", 1)
        self._band = self._raster.band(self._number)
        self._method = cast("Method", options.get("method", "nearest"))
        self._name: str = options.get("as") or self._raster.name

    def run(self, features: Features) -> None:
        """Changes ``properties``; sets errors of what is no Point."""
        some = of_types(features, (shapely.GeometryType.POINT,), "sample needs a Point")
        try:
            values = self._values(features.geometry[some], features.crs)
        except ConfigurationError as error:
            values = []
            for index in some.tolist():
                features.errors[index] = f"sample: raster {self._raster.name}: {error}"
        for index, value in zip(some.tolist(), values, strict=False):
            features.properties[index][self._name] = value

    def _values(self, points: npt.NDArray[np.object_], crs: str) -> list[float | int | None]:
        if crs != self._raster.crs:
            points = transformed(points, crs, self._raster.crs)
        xy = np.full((len(points), 2), np.nan)
        coordinates, index = shapely.get_coordinates(points, return_index=True)
        xy[index] = coordinates
        found = self._raster.values_at(xy, self._method, self._number).tolist()
        is_whole = self._band.is_whole and self._method == "nearest"
        return [_json(value, is_whole=is_whole) for value in found]


def _json(value: float, *, is_whole: bool) -> float | int | None:
    if not math.isfinite(value):
        return None
    return int(value) if is_whole else value
