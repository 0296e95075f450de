"""What a layer file holds, and in which sections.

    meta          JSON: crs, features, fields, bounds, source, and counts of what was done to them
    source        u4 (features,): each feature's number in the source's order, from 0, without gaps
    dimensions    u1, features u8, parts u8, rings u8, coordinates f8 x 2: see ``Ragged``
    boxes         f8 x 4 (features,): see ``Ragged.boxes``
    fields        JSON, columns u1: ids and properties, see ``columns``
    …             the indexes, by those who build them: see ``indexes``

Features stand in the order of a Hilbert curve through the centres of their boxes, so that what is
near in space is near in the file.
"""

from __future__ import annotations

import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from geoweir.spatial.compiling.build import LayerBuilder
from geoweir.spatial.file.mapped import MappedFile
from geoweir.spatial.file.opening import open_file
from geoweir.spatial.ragged import Ragged

__all__ = ["LayerFeatures", "open_layer", "ragged_of", "write_layer"]

_MEMORY: Final = 1_000_000_000


@dataclass(slots=True)
class LayerFeatures:
    """Features to be written, in the order of their source."""

    ids: list[str]
    properties: list[dict[str, Any]]
    geometries: npt.NDArray[np.object_]
    repaired: int = 0


def write_layer(target: str | Path | int, crs: str, given: LayerFeatures, source: str) -> str:
    """Writes features that are clean and in memory to a path or an open descriptor; the version."""
    with closing(LayerBuilder(Path(tempfile.gettempdir()), _MEMORY)) as builder:
        ragged = Ragged.from_shapely(given.geometries)
        builder.add(given.ids, given.properties, ragged)
        return builder.write(target, {"repaired": given.repaired, "source": source}, crs)


def open_layer(path: str | Path) -> MappedFile:
    """The layer file at a path.

    Raises:
        ConfigurationError: there is none, or a damaged or foreign one; one line that names it.
    """
    return open_file(path, "layer")


def ragged_of(file: MappedFile) -> Ragged:
    """The geometries of an open layer file, still in the file; offsets are unchecked."""
    return Ragged(
        file.array("dimensions", "u1"),
        file.array("features", "<u8"),
        file.array("parts", "<u8"),
        file.array("rings", "<u8"),
        file.array("coordinates", "<f8", 2),
    )
