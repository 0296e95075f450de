"""Reading a layer's source: GeoJSON in its usual wrappings, plain or gzipped.

The file is the operator's own, so a fault in it ends in one clear line, and what can be mended
without guessing (open, collapsed or crossing rings) is mended and counted.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
import shapely

from geoweir.errors import ConfigurationError
from geoweir.spatial.crs import Geometries
from geoweir.spatial.rings import RingError, mended

__all__ = ["MAX_BYTES", "LayerSource", "read_source"]

MAX_BYTES: Final = 2_000_000_000  # of a source, decompressed
_SEQUENCES: Final = (".geojsonl", ".geojsons", ".ndjson")
_GEOMETRY_TYPES: Final = frozenset(
    {
        "Point",
        "MultiPoint",
        "LineString",
        "MultiLineString",
        "Polygon",
        "MultiPolygon",
        "GeometryCollection",
    }
)


@dataclass(slots=True)
class LayerSource:
    """Features of a layer in the order of the file.

    Attributes:
        ids: the feature's ``id``, else its property ``id``, else its number from 1, as text.
        properties: the properties, one dict per feature.
        geometries: object array; None for a feature without a geometry.
        repaired: how many geometries had to be mended.
    """

    ids: list[str]
    properties: list[dict[str, Any]]
    geometries: Geometries
    repaired: int


@dataclass(slots=True)
class _Rows:
    """What has been read so far, geometries still as JSON."""

    path: Path
    ids: list[str] = field(default_factory=list)
    properties: list[dict[str, Any]] = field(default_factory=list)
    geometries: list[dict[str, Any] | None] = field(default_factory=list)

    def add(self, feature: object) -> None:
        number = len(self.ids) + 1
        if not isinstance(feature, dict):
            raise _fault(self.path, f"feature {number} is no JSON object")
        if feature.get("type") in _GEOMETRY_TYPES:
            feature = {"type": "Feature", "geometry": feature}
        if feature.get("type") != "Feature":
            raise _fault(self.path, f"object {number} is neither a Feature nor a geometry")
        properties = feature.get("properties") or {}
        geometry = feature.get("geometry")
        if not isinstance(properties, dict) or not isinstance(geometry, dict | None):
            raise _fault(self.path, f"feature {number} has malformed properties or geometry")
        self.ids.append(_id_of(feature, properties, number))
        self.properties.append(properties)
        self.geometries.append(geometry)


def read_source(path: str | Path) -> LayerSource:
    """Reads a FeatureCollection, Feature, geometry or text sequence (``.geojsonl .ndjson``).

    Any of them may be gzipped (``.gz``). Coordinates are taken as they stand: x, y and an optional
    z in the layer's CRS. Invalid polygons are repaired by GEOS's ``structure`` method and keep
    their polygonal part only.

    Raises:
        ConfigurationError: the file is missing, unreadable, cut off, not GeoJSON, or holds a
            coordinate that isn't finite; one line that names the file and what to do.
    """
    source = Path(path)
    rows = _Rows(source)
    for feature in _features(source, _content(source)):
        rows.add(feature)
    geometries, mended_count = _geometries(rows)
    repaired = mended_count + _repair(geometries)
    return LayerSource(rows.ids, rows.properties, geometries, repaired)


def _fault(
    path: Path, what: str, remedy: str = "Correct the file or export it again"
) -> ConfigurationError:
    return ConfigurationError(f"layer file {path}: {what}. {remedy}.")


def _content(path: Path) -> bytes:
    try:
        if path.suffix == ".gz":
            with gzip.open(path) as stream:
                content = stream.read(MAX_BYTES + 1)
        else:
            with path.open("rb") as stream:
                content = stream.read(MAX_BYTES + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _fault(path, "it is no whole gzip file", "Copy or compress it again") from error
    except FileNotFoundError as error:
        raise _fault(path, "there is no such file", "Correct the layer's path") from error
    except OSError as error:
        why = f"it can't be read ({error.strerror or error})"
        raise _fault(path, why, "Correct the path or the file's permissions") from error
    if len(content) > MAX_BYTES:
        raise _fault(path, f"it holds more than {MAX_BYTES:,} bytes", "Split or simplify the layer")
    return content


def _features(path: Path, content: bytes) -> Iterator[object]:
    if any(suffix in _SEQUENCES for suffix in path.suffixes[-2:]):
        yield from _sequence(path, content)
        return
    document = _parsed(path, content, "")
    if isinstance(document, dict) and document.get("type") == "FeatureCollection":
        features = document.get("features")
        if not isinstance(features, list):
            raise _fault(path, "its FeatureCollection has no list of features")
        yield from features
    elif isinstance(document, dict) and (
        document.get("type") == "Feature" or document.get("type") in _GEOMETRY_TYPES
    ):
        yield document
    else:
        raise _fault(path, "it is JSON but not GeoJSON", "Give a FeatureCollection or a Feature")


def _sequence(path: Path, content: bytes) -> Iterator[object]:
    for number, line in enumerate(content.split(b"\n"), start=1):
        text = line.strip(b"\x1e \t\r")
        if text:
            yield _parsed(path, text, f"line {number}: ")


def _parsed(path: Path, text: bytes, where: str) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        _name_non_finite(path, text)
        cut_off = error.pos >= len(error.doc.rstrip())
        what = "it ends in the middle" if cut_off else f"it is not JSON ({error})"
        if not text.strip():
            what = "it is empty"
        raise _fault(path, f"{where}{what}") from error


def _name_non_finite(path: Path, text: bytes) -> None:
    """Raises with the feature's name where NaN or an infinity is what broke the JSON."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return
    if not isinstance(document, dict):
        return
    features = document.get("features", [document])
    for number, feature in enumerate(features if isinstance(features, list) else [], start=1):
        geometry = feature.get("geometry", feature) if isinstance(feature, dict) else None
        if isinstance(geometry, dict) and not _is_finite(geometry):
            name = _id_of(feature, feature.get("properties") or {}, number)
            raise _fault(path, f"feature {name} has a coordinate that is not a finite number")


def _is_finite(geometry: dict[str, Any]) -> bool:
    waiting: list[Any] = [geometry.get("coordinates"), geometry.get("geometries")]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, float) and not np.isfinite(value):
            return False
    return True


def _id_of(feature: dict[str, Any], properties: object, number: int) -> str:
    candidates = [feature.get("id"), properties.get("id") if isinstance(properties, dict) else None]
    for candidate in candidates:
        if isinstance(candidate, str | int | float) and not isinstance(candidate, bool):
            return str(candidate)
    return str(number)


def _geometries(rows: _Rows) -> tuple[Geometries, int]:
    """The geometries, and how many had rings that had to be closed or left out."""
    texts = [None if g is None else orjson.dumps(g).decode() for g in rows.geometries]
    geometries: Geometries = np.empty(len(texts), dtype=object)
    geometries[:] = shapely.from_geojson(texts, on_invalid="ignore") if texts else []
    count = 0
    for index in np.flatnonzero(shapely.is_missing(geometries)):
        geometry = rows.geometries[index]
        if geometry is not None:
            geometries[index] = _rebuilt(rows, int(index), geometry)
            count += 1
    return geometries, count


def _rebuilt(rows: _Rows, index: int, geometry: dict[str, Any]) -> shapely.Geometry:
    try:
        return shapely.from_geojson(orjson.dumps(mended(geometry)).decode())
    except (RingError, shapely.errors.GEOSException) as error:
        what = f"feature {rows.ids[index]} has a geometry that can't be read"
        raise _fault(rows.path, what) from error


def _repair(geometries: Geometries) -> int:
    """Repairs the invalid polygons in place; how many."""
    invalid = ~shapely.is_valid(geometries) & (shapely.get_dimensions(geometries) == 2)  # noqa: PLR2004
    wrong = np.flatnonzero(invalid)
    for index in wrong:
        valid = shapely.make_valid(geometries[index], method="structure")
        geometries[index] = _polygonal(valid)
    return len(wrong)


def _polygonal(geometry: shapely.Geometry) -> shapely.Geometry:
    """The polygons of a geometry; other parts are what a repair left over."""
    if shapely.get_type_id(geometry) in {3, 6}:
        return geometry
    parts = shapely.get_parts(geometry)
    return shapely.union_all(parts[shapely.get_dimensions(parts) == 2])  # noqa: PLR2004
