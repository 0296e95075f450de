"""One message of a live layer: a GeoJSON Feature from a stranger, checked before anything else.

Typed reading bounds the depth; size, vertices and reach are bounded by the layer's limits. What
passes is written anew as one line of a text sequence, so that the compiler meets nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from geoweir.codec.reach import GEOGRAPHIC
from geoweir.core.spec import LayerSpec
from geoweir.errors import GeoweirError

__all__ = ["FenceError", "read_fence"]

_DEPTH: Final = 8  # of properties within each other
_FARTHEST_LON: Final = 360.0
_FARTHEST_LAT: Final = 90.0
_LONGEST_ID: Final = 256


class FenceError(GeoweirError):
    """A Feature can't be a fence; one sentence."""


_Ordinate = Annotated[float, Meta(ge=-1e9, le=1e9)]
_Position = Annotated[list[_Ordinate], Meta(min_length=2, max_length=4)]
_Line = Annotated[list[_Position], Meta(min_length=2)]
_Ring = Annotated[list[_Position], Meta(min_length=4)]
_Surface = Annotated[list[_Ring], Meta(min_length=1)]


class _Geometry(Struct, tag_field="type"):
    """A geometry, without members that are none of GeoJSON's."""


class _Point(_Geometry, tag="Point"):
    coordinates: _Position


class _MultiPoint(_Geometry, tag="MultiPoint"):
    coordinates: Annotated[list[_Position], Meta(min_length=1)]


class _LineString(_Geometry, tag="LineString"):
    coordinates: _Line


class _MultiLineString(_Geometry, tag="MultiLineString"):
    coordinates: Annotated[list[_Line], Meta(min_length=1)]


class _Polygon(_Geometry, tag="Polygon"):
    coordinates: _Surface


class _MultiPolygon(_Geometry, tag="MultiPolygon"):
    coordinates: Annotated[list[_Surface], Meta(min_length=1)]


_Any = _Point | _MultiPoint | _LineString | _MultiLineString | _Polygon | _MultiPolygon


class _Feature(Struct, tag_field="type", tag="Feature"):
    geometry: _Any
    properties: dict[str, Any] | None = None
    id: str | int | float | None = None
    crs: Any = None


class _Written(Struct, tag_field="type", tag="Feature"):
    id: str
    geometry: _Any
    properties: dict[str, Any]


_features = msgspec.json.Decoder(_Feature)


def read_fence(spec: LayerSpec, topic: str, payload: bytes, needed: Iterable[str]) -> bytes:
    """The line of the sequence for one message.

    Args:
        spec: the layer, with its limits.
        topic: its last level is the id of a Feature that has none.
        payload: of the message, within the limit of its size.
        needed: fields that steps attach; null where the Feature has none.

    Raises:
        FenceError: it is no Feature that the layer takes.
    """
    try:
        feature = _features.decode(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise FenceError(f"it is no Feature with a geometry: {str(error)[:200]}") from error
    _check_crs(feature.crs, spec.live_crs)
    _check_positions(feature.geometry, spec)
    properties = dict.fromkeys(needed) | (feature.properties or {})
    _check_depth(properties)
    given = topic.rpartition("/")[2] if feature.id is None else str(feature.id)
    try:
        return msgspec.json.encode(_Written(given[:_LONGEST_ID], feature.geometry, properties))
    except (msgspec.MsgspecError, ValueError, UnicodeError) as error:
        raise FenceError(f"it can't be written again: {str(error)[:200]}") from error


def _check_positions(geometry: _Any, spec: LayerSpec) -> None:
    count = 0
    for line in _lines(geometry):
        count += len(line)
        if count > spec.limits.vertices:
            raise FenceError(f"it has more than {spec.limits.vertices} vertices")
        if spec.live_crs in GEOGRAPHIC and not all(
            -_FARTHEST_LON <= at[0] <= _FARTHEST_LON and -_FARTHEST_LAT <= at[1] <= _FARTHEST_LAT
            for at in line
        ):
            raise FenceError(
                f"it has coordinates that are no longitudes and latitudes ({spec.live_crs})"
            )
        is_ring = isinstance(geometry, _Polygon | _MultiPolygon)
        if is_ring and line[0][:2] != line[-1][:2]:
            raise FenceError("a ring of it is not closed")


def _lines(geometry: _Any) -> list[list[_Position]]:
    match geometry:
        case _Point():
            return [[geometry.coordinates]]
        case _MultiPoint() | _LineString():
            return [geometry.coordinates]
        case _MultiLineString() | _Polygon():
            return geometry.coordinates
        case _MultiPolygon():
            return [ring for surface in geometry.coordinates for ring in surface]


def _check_crs(member: object, crs: str) -> None:
    """An old-style ``crs`` member must name the layer's CRS: other coordinates are elsewhere."""
    if member is None:
        return
    properties = member.get("properties") if isinstance(member, dict) else None
    name = properties.get("name") if isinstance(properties, dict) else None
    text = name if isinstance(name, str) else ""
    if text.startswith("urn:ogc:def:crs:"):
        authority, *_, code = text.removeprefix("urn:ogc:def:crs:").split(":")
        text = f"{authority}:{code}"
    if text != crs and not {text, crs} <= GEOGRAPHIC:
        raise FenceError(f"it names the CRS {text[:40]!r}, and the layer's is {crs}")


def _check_depth(value: object) -> None:
    waiting: list[tuple[object, int]] = [(value, 0)]
    while waiting:
        one, depth = waiting.pop()
        if not isinstance(one, dict | list):
            continue
        if depth >= _DEPTH:
            raise FenceError(f"its properties are more than {_DEPTH} deep")
        inner = one.values() if isinstance(one, dict) else one
        waiting.extend((item, depth + 1) for item in inner)
