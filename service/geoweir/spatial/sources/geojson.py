"""GeoJSON (RFC 7946) as a source: collections, text sequences (RFC 8142, or a line each), gzipped.

The file is the operator's own, so a fault in its form ends in one clear line; what is wrong with
one feature's geometry is that feature's.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import numpy as np
import shapely

from geoweir.errors import ConfigurationError
from geoweir.spatial import exactjson
from geoweir.spatial.crs import Crs
from geoweir.spatial.rings import RingError, mended
from geoweir.spatial.sources.batch import Batch, Selection, fault, no_geometries
from geoweir.spatial.sources.split import MOST_BYTES, Collection, SplitError

__all__ = ["GeoJsonSource"]

_BLOCK: Final = 1 << 20
_MOST_FEATURES: Final = 8192  # in a batch
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
_RECORD: Final = b"\x1e"
_BLANK: Final = b" \t\r\n\x1e"
#: ``urn:ogc:def:crs:EPSG::25832``, ``urn:ogc:def:crs:OGC:1.3:CRS84`` or ``EPSG:25832``.
_CRS_NAME: Final = re.compile(r"(?:urn:ogc:def:crs:)?(\w+):(?:[\d.]*:)?(\w+)")


class GeoJsonSource:
    """A file or stream of GeoJSON.

    Args:
        path: named in faults.
        stream: what to read; gzipped or not, which its first bytes tell.
        selection: what is wanted.
        is_sequence: whether it is a text sequence rather than one document.
    """

    def __init__(
        self, path: str, stream: BinaryIO, selection: Selection, *, is_sequence: bool
    ) -> None:
        self._path = path
        self._selection = selection
        self._raw = stream
        self._size = _size(stream)
        self._crs: Crs | None = None
        self._collection: Collection | None = None
        if not is_sequence:
            self._collection = Collection(self._blocks())
            self._open(self._collection)

    @classmethod
    @contextlib.contextmanager
    def opened(
        cls, path: Path, selection: Selection, *, is_sequence: bool
    ) -> Iterator[GeoJsonSource]:
        """The file at a path."""
        try:
            stream = path.open("rb")
        except FileNotFoundError as error:
            raise fault(path, "there is no such file", "Correct the path") from error
        except OSError as error:
            raise _unreadable(path, error) from error
        with stream:
            yield cls(str(path), stream, selection, is_sequence=is_sequence)

    @property
    def crs(self) -> Crs | None:
        """The ``crs`` member of GeoJSON before RFC 7946, where it stands before the features."""
        return self._crs

    @property
    def fraction(self) -> float | None:
        """As in ``Source``; of the bytes, compressed ones where the file is."""
        return self._raw.tell() / self._size if self._size else None

    def batches(self) -> Iterator[Batch]:
        """As in ``Source``."""
        first = 0
        pending: list[dict[str, Any]] = []
        held = 0
        for number, text in enumerate(self._texts(), start=1):
            pending.append(self._feature(text, number))
            held += len(text)
            if held > self._selection.batch_bytes or len(pending) >= _MOST_FEATURES:
                yield self._batch(first, pending)
                first, pending, held = number, [], 0
        if pending:
            yield self._batch(first, pending)

    def _open(self, collection: Collection) -> None:
        try:
            collection.open()
        except SplitError as error:
            raise fault(self._path, str(error)) from error
        if collection.has_list:
            with contextlib.suppress(ValueError):  # faults in it are told at the end
                self._crs = self._named_crs(exactjson.loads(collection.head + b"[]}"))

    def _blocks(self) -> Iterator[bytes]:
        try:
            stream: Any = self._raw
            start = stream.peek(2)[:2] if hasattr(stream, "peek") else b""
            if start == b"\x1f\x8b" or self._path.lower().endswith(".gz"):
                stream = gzip.GzipFile(fileobj=self._raw)
            while block := stream.read(_BLOCK):
                yield block
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise fault(
                self._path, "it is no whole gzip file", "Copy or compress it again"
            ) from error
        except OSError as error:
            raise _unreadable(self._path, error) from error

    def _texts(self) -> Iterator[bytes]:
        if self._collection is None:
            yield from self._records()
        elif self._collection.has_list:
            try:
                yield from self._collection.features()
            except SplitError as error:
                raise fault(self._path, str(error)) from error
            self._check_frame(self._collection)
        else:
            yield self._single(self._collection.head)

    def _records(self) -> Iterator[bytes]:
        """The texts of a sequence: between record separators where it has them, else lines."""
        held = bytearray()
        separator: bytes | None = None
        for block in self._blocks():
            held += block
            if separator is None and held.strip(b" \t\r\n"):
                separator = _RECORD if held.lstrip(b" \t\r\n").startswith(_RECORD) else b"\n"
            if separator is not None:
                *whole, rest = held.split(separator)
                yield from (bytes(text) for text in whole if text.strip(_BLANK))
                held = rest
            if len(held) > MOST_BYTES:
                raise fault(self._path, f"a feature takes more than {MOST_BYTES:,} bytes")
        if held.strip(_BLANK):
            yield bytes(held)

    def _single(self, text: bytes) -> bytes:
        """A document without a list of features: one feature, or a geometry."""
        document = self._parsed(text, "")
        kind = document.get("type") if isinstance(document, dict) else None
        if kind == "FeatureCollection":
            raise fault(self._path, "its FeatureCollection has no list of features")
        if kind != "Feature" and kind not in _GEOMETRY_TYPES:
            remedy = "Give a FeatureCollection or a Feature"
            raise fault(self._path, "it is JSON but not GeoJSON", remedy)
        self._crs = self._named_crs(document)
        return text

    def _check_frame(self, collection: Collection) -> None:
        document = self._parsed(collection.head + b"[]" + collection.tail, "")
        if document.get("type") != "FeatureCollection":
            raise fault(self._path, "it is JSON but not GeoJSON", "Give a FeatureCollection")
        if self._named_crs(document) != self._crs:
            raise fault(
                self._path, "its crs stands after its features", "Give the CRS with --source-crs"
            )

    def _parsed(self, text: bytes, where: str) -> Any:  # noqa: ANN401 - any JSON value
        try:
            return exactjson.loads(text.strip(_BLANK))
        except ValueError as error:
            position = getattr(error, "pos", None)
            what = f"it is not JSON ({error})"
            if not text.strip(_BLANK):
                what = "it is empty"
            elif position is not None and position >= len(text.strip(_BLANK)):
                what = "it ends in the middle"
            raise fault(self._path, f"{where}{what}") from error

    def _named_crs(self, document: dict[str, Any]) -> str | None:
        member = document.get("crs")
        if member is None:
            return None
        properties = member.get("properties") if isinstance(member, dict) else None
        name = properties.get("name") if isinstance(properties, dict) else None
        found = _CRS_NAME.fullmatch(name) if isinstance(name, str) else None
        if found is None:
            raise fault(self._path, "its crs names none", "Give the CRS with --source-crs")
        return "EPSG:4326" if found[2] == "CRS84" else f"{found[1].upper()}:{found[2]}"

    def _feature(self, text: bytes, number: int) -> dict[str, Any]:
        is_single = self._collection is not None and not self._collection.has_list
        feature = self._parsed(text, "" if is_single else f"feature {number}: ")
        if not isinstance(feature, dict):
            raise fault(self._path, f"feature {number} is no JSON object")
        if feature.get("type") in _GEOMETRY_TYPES:
            feature = {"type": "Feature", "geometry": feature}
        if feature.get("type") != "Feature":
            raise fault(self._path, f"object {number} is neither a Feature nor a geometry")
        has_form = isinstance(feature.get("properties") or {}, dict)
        if not has_form or not isinstance(feature.get("geometry"), dict | None):
            raise fault(self._path, f"feature {number} has malformed properties or geometry")
        return cast("dict[str, Any]", feature)

    def _batch(self, first: int, features: list[dict[str, Any]]) -> Batch:
        rows = [feature.get("properties") or {} for feature in features]
        ids = [
            self._id_of(feature, row, first + number)
            for number, (feature, row) in enumerate(zip(features, rows, strict=True), start=1)
        ]
        kept = [self._selection.kept(row) for row in rows]
        batch = Batch(first, ids, kept, no_geometries(len(features)))
        _read_geometries(batch, [feature.get("geometry") for feature in features])
        return batch

    def _id_of(self, feature: dict[str, Any], row: dict[str, Any], number: int) -> str | None:
        """The property that was asked for; else the feature's id, property ``id``, or number."""
        wanted = self._selection.id_field
        candidates = [feature.get("id"), row.get("id")] if wanted is None else [row.get(wanted)]
        for candidate in candidates:
            if isinstance(candidate, str | int | float) and not isinstance(candidate, bool):
                return str(candidate)
        return str(number) if wanted is None else None


def _read_geometries(batch: Batch, geometries: list[dict[str, Any] | None]) -> None:
    texts = [None if one is None else exactjson.dumps(one).decode() for one in geometries]
    batch.geometries[:] = shapely.from_geojson(texts, on_invalid="ignore")
    for index in np.flatnonzero(shapely.is_missing(batch.geometries)).tolist():
        geometry = geometries[index]
        if geometry is None:
            continue
        if not _is_finite(geometry):
            batch.unread[index] = "a coordinate is not a finite number"
            continue
        try:
            batch.geometries[index] = shapely.from_geojson(
                exactjson.dumps(mended(geometry)).decode()
            )
            batch.mended.append(index)
        except (RingError, shapely.errors.GEOSException):
            batch.unread[index] = "its geometry can't be read: it is no GeoJSON"


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


def _size(stream: BinaryIO) -> int:
    try:
        return os.fstat(stream.fileno()).st_size if stream.seekable() else 0
    except (OSError, ValueError):
        return 0


def _unreadable(path: str | Path, error: OSError) -> ConfigurationError:
    why = f"it can't be read ({error.strerror or error})"
    return fault(path, why, "Correct the path or the file's permissions")
