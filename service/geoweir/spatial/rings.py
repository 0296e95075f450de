"""Mending of polygon rings as JSON: what GEOS refuses to read at all.

Simplified files hold rings that collapsed to three positions or fewer (islands smaller than the
grid), and some writers leave rings open. A collapsed ring has no area and is left out; an open one
is closed.
"""

from __future__ import annotations

from typing import Any, Final

__all__ = ["RingError", "mended"]

_FEWEST: Final = 4  # positions of a closed ring


class RingError(ValueError):
    """The coordinates are no rings at all."""


def mended(geometry: dict[str, Any]) -> dict[str, Any]:
    """The GeoJSON geometry with whole rings only; RingError where there is nothing to mend."""
    coordinates = geometry.get("coordinates")
    match geometry.get("type"):
        case "Polygon":
            return {"type": "Polygon", "coordinates": _polygon(coordinates)}
        case "MultiPolygon":
            polygons = [_polygon(polygon) for polygon in _listed(coordinates)]
            return {"type": "MultiPolygon", "coordinates": [p for p in polygons if p]}
        case "GeometryCollection":
            parts = [mended(part) for part in _listed(geometry.get("geometries"))]
            return {"type": "GeometryCollection", "geometries": parts}
        case _:
            raise RingError


def _polygon(rings: object) -> list[list[Any]]:
    """The rings that enclose something; none where the outer one doesn't."""
    whole = [_ring(ring) for ring in _listed(rings)]
    return [ring for ring in whole if ring] if whole and whole[0] else []


def _ring(positions: object) -> list[Any]:
    ring = _listed(positions)
    if ring and ring[0] != ring[-1]:
        ring = [*ring, ring[0]]
    return ring if len(ring) >= _FEWEST else []


def _listed(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise RingError
    return value
