"""Which features have a geometry of the kind that a step works on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely

from geoweir.codec.features import Features
from geoweir.steps.step import Indices

__all__ = ["of_types"]


def of_types(features: Features, types: Sequence[shapely.GeometryType], needs: str) -> Indices:
    """The features alive with no geometry or one of the types; the others get an error.

    Args:
        features: the chunk's.
        types: of geometries.
        needs: what the step needs, for the error, such as ``sample needs a Point``.
    """
    alive = features.alive()
    found = shapely.get_type_id(features.geometry[alive])
    fits = np.isin(found, [shapely.GeometryType.MISSING, *types])
    for index in alive[~fits].tolist():
        features.errors[index] = f"{needs}, this is a {features.geometry[index].geom_type}"
    return np.asarray(alive[fits])
