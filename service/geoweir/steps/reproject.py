"""The step ``reproject``: coordinates in another CRS."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from geoweir.codec.column import Positions
from geoweir.codec.features import Features
from geoweir.spatial.crs import reproject, reproject_points
from geoweir.steps.step import Indices, StepContext, singly

__all__ = ["Reproject"]


class Reproject:
    """Moves every geometry to the CRS ``to``; out of its area is an error of that feature."""

    def __init__(self, options: dict[str, Any], context: StepContext) -> None:
        self._to = context.crs.require(options["to"])

    def run(self, features: Features) -> None:
        """Changes ``geometry`` and ``crs``.

        Features in error are moved too, as the result names one CRS; what can't be moved loses its
        geometry.
        """
        moved = np.zeros(len(features), dtype=np.bool_)
        some = np.flatnonzero([reason is None for reason in features.filtered])
        if features.positions is None:
            singly(features, some, lambda part: self._move(features, part, moved))
            features.geometry[~moved] = None
        else:
            self._move_points(features, features.positions, some, moved)
            features.positions[~moved] = np.nan
        features.crs = self._to

    def _move_points(
        self, features: Features, points: Positions, some: Indices, moved: npt.NDArray[np.bool_]
    ) -> None:
        there = some[~np.isnan(points[some, 0])]
        points[there, :2], errors = reproject_points(points[there, :2], features.crs, self._to)
        moved[there] = True
        for position, error in errors.items():
            index = int(there[position])
            moved[index] = False
            features.errors[index] = features.errors[index] or error

    def _move(self, features: Features, some: Indices, moved: npt.NDArray[np.bool_]) -> None:
        geometries, errors = reproject(features.geometry[some], features.crs, self._to)
        features.geometry[some] = geometries
        moved[some] = [error is None for error in errors]
        for index, error in zip(some.tolist(), errors, strict=True):
            features.errors[index] = features.errors[index] or error
