"""The step ``zonal``: statistics of a raster's pixels over the polygon."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from geoweir.codec.features import Features
from geoweir.errors import ConfigurationError
from geoweir.spatial.crs import transformed
from geoweir.spatial.raster.request import MAX_PIXELS, Request
from geoweir.spatial.raster.summary import STATS, summary
from geoweir.spatial.raster.tally import Stats
from geoweir.steps.shapes import of_types
from geoweir.steps.step import Indices, StepContext, singly

__all__ = ["Zonal"]

_SURFACES = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)


class Zonal:
    """Puts each statistic into ``properties`` under ``{as}_{stat}``; ``as`` is the raster's name.

    Over no pixel with a value, and for a null or empty geometry, the count is 0 and the rest null.
    Another geometry than a Polygon or MultiPolygon is that feature's error, and so is one that
    covers more than ``max_pixels`` or has no finite image in the raster's CRS.
    """

    def __init__(self, options: dict[str, Any], context: StepContext) -> None:
        self._raster = context.raster(options["raster"])
        number: int = options.get("band", 1)
        self._band = self._raster.band(number)
        self._stats: list[str] = options.get("stats") or list(STATS)
        prefix = options.get("as") or self._raster.name
        self._names = [f"{prefix}_{name}" for name in self._stats]
        self._request = Request(
            band=number - 1,
            majority="majority" in self._stats,
            all_touched=options.get("all_touched", False),
            limit=options.get("max_pixels", MAX_PIXELS),
        )

    def run(self, features: Features) -> None:
        """Changes ``properties``; sets errors of what can't be measured."""
        some = of_types(features, _SURFACES, "zonal needs a Polygon")
        singly(features, some, lambda part: self._measure(features, part))

    def _measure(self, features: Features, some: Indices) -> None:
        geometries = features.geometry[some]
        if features.crs != self._raster.crs:
            geometries = transformed(geometries, features.crs, self._raster.crs)
        finite = _are_finite(geometries)
        for index in some[~finite].tolist():
            features.errors[index] = f"zonal: a vertex has no image in {self._raster.crs}"
        some = some[finite]
        try:
            found = self._raster.zonal(geometries[finite], self._request)
        except ConfigurationError as error:
            for index in some.tolist():
                features.errors[index] = f"zonal: raster {self._raster.name}: {error}"
            return
        for index, one in zip(some.tolist(), found, strict=True):
            if isinstance(one, Stats):
                values = summary(one, self._band, self._stats)
                features.properties[index].update(zip(self._names, values, strict=True))
            else:
                features.errors[index] = f"zonal: raster {self._raster.name}: {one}"


def _are_finite(geometries: npt.NDArray[np.object_]) -> npt.NDArray[np.bool_]:
    coordinates, index = shapely.get_coordinates(geometries, return_index=True)
    finite = np.ones(len(geometries), dtype=np.bool_)
    finite[index[~np.isfinite(coordinates).all(axis=1)]] = False
    return finite
