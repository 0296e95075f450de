"""GeoJSON: a Feature, a FeatureCollection as one input of many features, or a bare geometry.

A ``crs`` member (of GeoJSON 2008) is accepted only where it names the stream's own CRS; it is
compared as text and never looked up.
"""

from __future__ import annotations

from typing import Any, Final

from geoweir.codec.geometry import sketch
from geoweir.codec.reach import GEOGRAPHIC
from geoweir.codec.rows import FieldReader, Input, Row
from geoweir.core.spec import StreamSpec
from geoweir.errors import SenderError

__all__ = ["GeoJSONReader"]

_GEOMETRIES: Final = frozenset({"coordinates", "geometries"})
_LON_LAT_URN: Final = "urn:ogc:def:crs:OGC:1.3:CRS84"


class GeoJSONReader:
    """Reads GeoJSON."""

    def __init__(self, spec: StreamSpec) -> None:
        self._fields = FieldReader(spec)
        self._limits = spec.limits
        self._crs = spec.crs
        self._crs_names = _names_of(spec.crs)

    def read(self, given: Input) -> list[Row]:
        """The features of one input; see FormatReader."""
        document = given.document
        if type(document) is not dict:
            raise SenderError("shape", "The payload is not a JSON object.")
        kind = document.get("type")
        if kind == "Feature":
            return [self._feature(given, document, None)]
        if kind == "FeatureCollection":
            return self._collection(given, document)
        if type(kind) is str and not _GEOMETRIES.isdisjoint(document):
            return [self._bare(given, document)]
        raise SenderError(
            "shape", "The payload is neither a Feature, a FeatureCollection nor a geometry."
        )

    def _collection(self, given: Input, document: dict[str, Any]) -> list[Row]:
        features = document.get("features")
        if type(features) is not list:
            raise SenderError("shape", "The FeatureCollection has no list of features.")
        if len(features) > self._limits.features:
            raise SenderError(
                "features",
                f"The FeatureCollection has {len(features)} features; limits.features allows"
                f" {self._limits.features}.",
            )
        self._check_crs(document)
        return [self._member(given, feature, i) for i, feature in enumerate(features)]

    def _member(self, given: Input, feature: object, index: int) -> Row:
        try:
            return self._feature(given, _as_feature(feature), index)
        except SenderError as error:
            raise SenderError(error.reason, f"features[{index}]: {error.detail}") from None

    def _feature(self, given: Input, feature: dict[str, Any], index: int | None) -> Row:
        self._check_crs(feature)
        ident, literal = self._fields.id(given, feature, index)
        time = self._fields.time(given, feature)
        properties = feature.get("properties")
        if properties is None:
            properties = {}
        elif type(properties) is not dict:
            raise SenderError("shape", "The Feature's properties are not an object.")
        if "geometry" not in feature:
            raise SenderError("shape", "The Feature has no geometry member (null is one).")
        geometry = feature["geometry"]
        if type(geometry) is dict:
            self._check_crs(geometry)
        return Row(ident, literal, time, sketch(geometry, self._limits), properties)

    def _bare(self, given: Input, geometry: dict[str, Any]) -> Row:
        self._check_crs(geometry)
        ident, literal = self._fields.id(given, geometry)
        time = self._fields.time(given, geometry)
        return Row(ident, literal, time, sketch(geometry, self._limits), {})

    def _check_crs(self, owner: dict[str, Any]) -> None:
        named = owner.get("crs")
        if named is None:
            return
        properties = named.get("properties") if type(named) is dict else None
        name = properties.get("name") if type(properties) is dict else None
        if type(name) is not str or name not in self._crs_names:
            raise SenderError("crs", f"The payload's crs does not name the stream's {self._crs}.")


def _as_feature(member: object) -> dict[str, Any]:
    if type(member) is dict and member.get("type") == "Feature":
        return member
    raise SenderError("shape", "It is not a Feature.")


def _names_of(crs: str) -> frozenset[str]:
    """The names that a payload may call the stream's CRS by."""
    authority, _, code = crs.partition(":")
    names = {crs, f"urn:ogc:def:crs:{authority}::{code}"}
    if crs in GEOGRAPHIC:
        # We read EPSG:4326 as longitude, latitude, which is what writers of GeoJSON call CRS84.
        names |= {*GEOGRAPHIC, "urn:ogc:def:crs:EPSG::4326", _LON_LAT_URN}
    return frozenset(names)
