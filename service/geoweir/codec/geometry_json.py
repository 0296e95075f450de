"""Geometries to GeoJSON geometries, as bytes.

Coordinates are the shortest decimals that read back as the same numbers, so that what no step
changed comes out numerically equal.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt
import orjson
import shapely

from geoweir.codec.column import GeometryColumn

__all__ = ["column_to_json", "geometry_to_json"]

GeometryArray = npt.NDArray[np.object_]

_RING: Final = 2
_COLLECTION: Final = 7
#: GeoJSON's name of each shapely type id, and how many lists are around its positions.
_NAMES: Final = {
    0: (b"Point", 0),
    1: (b"LineString", 1),
    _RING: (b"LineString", 1),  # a linear ring, which GeoJSON doesn't have
    3: (b"Polygon", 2),
    4: (b"MultiPoint", 1),
    5: (b"MultiLineString", 2),
    6: (b"MultiPolygon", 3),
}


def column_to_json(column: GeometryColumn) -> list[bytes]:
    """Writes each geometry of a column as GeoJSON; see ``geometry_to_json``."""
    positions = column.positions
    if positions is None:
        return geometry_to_json(column.objects)
    is_there = np.isfinite(positions[:, 0]) & np.isfinite(positions[:, 1])
    # Without any z there is none to be left out of the text.
    chosen = positions if np.isfinite(positions[:, 2]).any() else positions[:, :2]
    texts = [b'{"type":"Point","coordinates":' + text + b"}" for text in _positions(chosen)]
    if not is_there.all():
        for row in np.flatnonzero(~is_there).tolist():
            texts[row] = b"null"
    return texts


def geometry_to_json(geometry: GeometryArray) -> list[bytes]:
    """Writes each geometry as GeoJSON; ``null`` for None and for what has a non-finite x or y."""
    written = np.full(len(geometry), b"null", dtype=object)
    types = shapely.get_type_id(geometry)
    finite = _finite(geometry)
    has_z = shapely.has_z(geometry)
    for type_id in np.unique(types[finite]):
        for with_z in (False, True):
            chosen = np.flatnonzero(finite & (types == type_id) & (has_z == with_z))
            if len(chosen):
                written[chosen] = _same_type(geometry[chosen], int(type_id), with_z=with_z)
    return list(written)


def _finite(geometry: GeometryArray) -> npt.NDArray[np.bool_]:
    """Which geometries are there and have nothing but finite x and y."""
    finite = ~shapely.is_missing(geometry)
    coordinates, owners = shapely.get_coordinates(geometry, return_index=True)
    sound = np.isfinite(coordinates).all(axis=1)
    if not sound.all():
        finite[owners[~sound]] = False
    return np.asarray(finite)


def _same_type(geometry: GeometryArray, type_id: int, *, with_z: bool) -> GeometryArray:
    if type_id == _COLLECTION:
        texts = [_collection(one) for one in geometry]
    else:
        name, depth = _NAMES[type_id]
        head = b'{"type":"' + name + b'","coordinates":'
        texts = [head + text + b"}" for text in _coordinates(geometry, depth, with_z=with_z)]
    written = np.empty(len(texts), dtype=object)
    written[:] = texts
    return written


def _collection(collection: shapely.GeometryCollection) -> bytes:
    members = geometry_to_json(shapely.get_parts(collection))
    return b'{"type":"GeometryCollection","geometries":[' + b",".join(members) + b"]}"


def _coordinates(geometry: GeometryArray, depth: int, *, with_z: bool) -> list[bytes]:
    """The coordinates of geometries of one type, folded into as many lists as the type has."""
    positions = _positions(shapely.get_coordinates(geometry, include_z=with_z))
    if depth == 0:
        empty = shapely.is_empty(geometry)
        texts = iter(positions)
        return [b"[]" if none else next(texts) for none in empty] if empty.any() else positions
    if depth == 1 and (shapely.get_type_id(geometry) == _RING).all():
        geometry = np.array([shapely.LineString(ring) for ring in geometry], dtype=object)
    offsets = shapely.to_ragged_array(geometry, include_z=with_z)[2]
    folded = positions
    for level in offsets:
        folded = [b"[" + b",".join(folded[a:b]) + b"]" for a, b in pairwise(level.tolist())]
    return folded


def _positions(coordinates: npt.NDArray[np.float64]) -> list[bytes]:
    """Each position as a JSON list; a z of NaN is left out."""
    if not len(coordinates):
        return []
    text = orjson.dumps(np.ascontiguousarray(coordinates), option=orjson.OPT_SERIALIZE_NUMPY)
    texts = [b"[" + pair + b"]" for pair in text[2:-2].split(b"],[")]
    return [one.replace(b",null]", b"]") for one in texts] if b"null" in text else texts
