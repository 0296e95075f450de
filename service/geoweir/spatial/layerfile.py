"""What a layer file holds, and in which sections.

    meta          JSON: crs, features, fields, bounds, repaired, source
    source        u4 (features,): each feature's number in its source, from 0
    dimensions    u1, features u8, parts u8, rings u8, coordinates f8 x 2: see ``Ragged``
    boxes         f8 x 4 (features,): see ``Ragged.boxes``
    …             the columns of attributes and the indexes, by those who write them

Features stand in the order of a Hilbert curve through the centres of their boxes, so that what is
near in space is near in the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson
import shapely

from geoweir.spatial.file.mapped import MappedFile
from geoweir.spatial.file.writer import FileWriter
from geoweir.spatial.ragged import Ragged

__all__ = ["LayerFeatures", "hilbert", "ragged_of", "write_layer"]

_LEVEL: Final = 16  # bits of the Hilbert curve per axis


@dataclass(slots=True)
class LayerFeatures:
    """Features to be written, in the order of their source."""

    ids: list[str]
    properties: list[dict[str, Any]]
    geometries: npt.NDArray[np.object_]
    repaired: int = 0


def write_layer(target: str | Path | int, crs: str, given: LayerFeatures, source: str) -> str:
    """Writes a layer file to a path or an open descriptor; the version."""
    boxes = shapely.bounds(given.geometries)
    order = _in_space(boxes)
    ragged, boxes = Ragged.from_shapely(given.geometries[order]), boxes[order]
    meta = {
        "crs": crs,
        "features": len(ragged),
        "fields": sorted({name for row in given.properties for name in row}),
        "repaired": given.repaired,
        "source": source,
        "bounds": _bounds(boxes),
    }
    with FileWriter(target, "layer") as file:
        file.add("meta", np.frombuffer(orjson.dumps(meta), dtype=np.uint8))
        file.add("source", order.astype(np.uint32))
        file.add("dimensions", ragged.dimensions)
        file.add("features", ragged.features)
        file.add("parts", ragged.parts)
        file.add("rings", ragged.rings)
        file.add("coordinates", ragged.coordinates)
        file.add("boxes", boxes)
        rows = [
            {"id": given.ids[index], "properties": given.properties[index]}
            for index in order.tolist()
        ]
        file.add("rows", np.frombuffer(orjson.dumps(rows), dtype=np.uint8))
        return file.finish()


def ragged_of(file: MappedFile) -> Ragged:
    """The geometries of an open layer file, still in the file; offsets are unchecked."""
    return Ragged(
        file.array("dimensions", "u1"),
        file.array("features", "<u8"),
        file.array("parts", "<u8"),
        file.array("rings", "<u8"),
        file.array("coordinates", "<f8", 2),
    )


def _bounds(boxes: npt.NDArray[np.float64]) -> list[float] | None:
    if not len(boxes) or np.isnan(boxes).all():
        return None
    return [*np.nanmin(boxes[:, :2], axis=0).tolist(), *np.nanmax(boxes[:, 2:], axis=0).tolist()]


def _in_space(boxes: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """The order along the curve; what has no geometry comes last."""
    present = np.flatnonzero(np.isfinite(boxes).all(axis=1))
    absent = np.setdiff1d(np.arange(len(boxes)), present)
    if not present.size:
        return absent
    centres = (boxes[present, :2] + boxes[present, 2:]) / 2
    low = centres.min(axis=0)
    extent = max(float((centres.max(axis=0) - low).max()), np.finfo(np.float64).tiny)
    steps = np.minimum((centres - low) / extent * (1 << _LEVEL), (1 << _LEVEL) - 1)
    x, y = steps.astype(np.int64).T
    return np.concatenate([present[np.argsort(hilbert(x, y, _LEVEL), kind="stable")], absent])


def hilbert(x: npt.NDArray[np.int64], y: npt.NDArray[np.int64], bits: int) -> npt.NDArray[np.int64]:
    """Distance along the Hilbert curve of integer points below ``2 ** bits`` on both axes.

    The usual construction from the highest bit down: each quadrant turns what lies in it.
    """
    x, y = x.copy(), y.copy()
    distance = np.zeros_like(x)
    for level in range(bits - 1, -1, -1):
        side = 1 << level
        right, upper = (x & side) > 0, (y & side) > 0
        distance = distance * 4 + np.where(right, np.where(upper, 2, 3), np.where(upper, 1, 0))
        flip = right & ~upper
        x[flip], y[flip] = side - 1 - (x[flip] & (side - 1)), side - 1 - (y[flip] & (side - 1))
        turn = ~upper
        x[turn], y[turn] = y[turn].copy(), x[turn].copy()
    return distance
