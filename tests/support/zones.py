"""Layer files for tests of the service: one square, whose tag says which version it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import shapely

from geoweir.spatial.layerfile import LayerFeatures, write_layer

__all__ = ["write_square"]


def write_square(target: Path, tag: str, *, crs: str = "EPSG:4326", field: str = "tag") -> str:
    """A layer with one feature from (0, 0) to (1, 1), put in place at once; its short version."""
    geometries = np.empty(1, dtype=object)
    geometries[0] = shapely.box(0, 0, 1, 1)
    given = LayerFeatures([tag], [{field: tag}], geometries)
    return write_layer(target, crs, given, "test")[:12]
