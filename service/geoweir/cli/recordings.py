"""Reads recorded telemetry as the messages that devices would have sent.

CSV, GPX, NMEA logs, GeoJSON and any other text, plain or gzipped. Files are read as a stream, but
for a GeoJSON document, which is one value. What can't be a message is a ``Skipped`` with the
reason; what makes the whole file unreadable is a SourceError, one clear line.
"""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Final, cast
from xml.parsers import expat

import orjson

from geoweir.cli.gpx import read_gpx
from geoweir.cli.record import (
    Record,
    ShapeError,
    Skipped,
    point_record,
    position_of,
    time_of,
    value_of,
)
from geoweir.demo.receiver import clock_of, sentence_fields
from geoweir.errors import GeoweirError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Record", "Recording", "Skipped", "SourceError"]

LONGEST_LINE: Final = 16 * 1024 * 1024  # bytes, of a line or a CSV field
LARGEST_DOCUMENT: Final = 1024**3  # bytes, of a GeoJSON file that is one value, decompressed
_HEAD_LINES: Final = 100  # in which a log of NMEA shows a sentence

_LATITUDES: Final = ("lat", "latitude", "y", "ycoord", "positionlat", "locationlat", "gpslat")
_LONGITUDES: Final = (
    *("lon", "lng", "long", "longitude", "x", "xcoord", "positionlong", "locationlong"),
    *("locationlon", "gpslon", "positionlon"),
)
_IDS: Final = (
    *("mmsi", "vehicleid", "deviceid", "vehicleref", "trackid", "vehicle", "device", "imei"),
    *("icao24", "id", "uuid", "tripid", "trip", "name"),  # what names a device before a row's id
)
_TIMES: Final = (
    *("time", "timestamp", "basedatetime", "datetime", "recordedattime", "recordedat", "t"),
    *("date", "datetimeutc", "utc", "ts", "fixtime", "timestamputc"),
)


class SourceError(GeoweirError):
    """A recording that can't be read."""


_Read = Iterator[Record | Skipped]


class Recording:
    """A file of recorded telemetry.

    Args:
        path: the file; its ending says what it holds (``.gz`` may follow).
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._raw: IO[bytes] | None = None
        self._size = 0

    @property
    def fraction(self) -> float:
        """How much of the file has been read, 0 to 1."""
        if self._raw is None or not self._size:
            return 0.0
        return min(self._raw.tell() / self._size, 1.0)

    def read(self) -> _Read:
        """Yields the messages, in the order of the file.

        Raises:
            SourceError: the file is missing, broken or not what its ending says.
        """
        try:
            with self._path.open("rb") as self._raw:
                self._size = self._path.stat().st_size
                suffixes = [suffix.lower() for suffix in self._path.suffixes]
                file: IO[bytes] = self._raw
                if suffixes[-1:] == [".gz"]:
                    file = cast("IO[bytes]", gzip.GzipFile(fileobj=self._raw))
                    suffixes.pop()
                yield from _READERS.get("".join(suffixes[-1:]), _text)(file)
        except OSError as error:
            raise self._fault(error.strerror or str(error)) from None
        except (EOFError, zlib.error):
            raise self._fault("the gzip data are cut off or damaged") from None
        except UnicodeDecodeError:
            raise self._fault("not UTF-8 text") from None
        except csv.Error as error:
            raise self._fault(f"no CSV: {error}") from None
        except expat.ExpatError as error:
            raise self._fault(f"no GPX: {error}") from None
        except ShapeError as error:
            raise self._fault(str(error)) from None
        finally:
            self._raw = None

    def _fault(self, what: str) -> SourceError:
        return SourceError(f"{self._path}: {what}.")


# CSV: a row is a point, its columns are properties.


@dataclass(frozen=True, slots=True)
class _Columns:
    names: list[str]
    lon: int
    lat: int
    id: int | None
    time: int | None

    @classmethod
    def find(cls, names: list[str]) -> _Columns:
        plain = ["".join(c for c in name.lower() if c.isalnum()) for name in names]

        def first(wanted: Iterable[str]) -> int | None:
            return next((plain.index(name) for name in wanted if name in plain), None)

        lon, lat = first(_LONGITUDES), first(_LATITUDES)
        if lon is None or lat is None:
            raise ShapeError("no columns for the position. Name them lon and lat in the first line")
        return cls(names, lon, lat, first(_IDS), first(_TIMES))


def _csv(file: IO[bytes]) -> _Read:
    csv.field_size_limit(LONGEST_LINE)
    text = io.TextIOWrapper(file, "utf-8-sig", newline="")
    try:
        rows = csv.reader(text)
        header = next(rows, None)
        if header is None:
            raise ShapeError("the file is empty")
        columns = _Columns.find(header)
        for row in rows:
            if row:
                yield _row(columns, row)
    finally:
        text.detach()


def _row(columns: _Columns, row: list[str]) -> Record | Skipped:
    if len(row) != len(columns.names):
        return Skipped("a row with another number of columns than the first line")
    position = position_of(row[columns.lon], row[columns.lat])
    if position is None:
        return Skipped("a row without a position")
    ident = None if columns.id is None else row[columns.id]
    fields = {name: value_of(text) for name, text in zip(columns.names, row, strict=True)}
    time = None if columns.time is None else time_of(value_of(row[columns.time]))
    return point_record(position, fields, ident or None, time)


# GeoJSON: a feature is a message.


def _geojson(file: IO[bytes]) -> _Read:
    content = file.read(LARGEST_DOCUMENT + 1)
    if len(content) > LARGEST_DOCUMENT:
        raise ShapeError(f"more than {LARGEST_DOCUMENT} bytes. Write it as a text sequence")
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError:
        # Many write text sequences under this name.
        yield from _sequence(io.BytesIO(content))
        return
    del content
    if isinstance(document, dict) and document.get("type") == "FeatureCollection":
        features = document.get("features")
        if not isinstance(features, list):
            raise ShapeError("a FeatureCollection without features")
        yield from map(_geojson_record, features)
    else:
        yield _geojson_record(document)


def _sequence(file: IO[bytes]) -> _Read:
    """A JSON value a line; RFC 8142's record separators may stand before them."""
    for line in _lines(file):
        text = line.strip(b"\x1e \t\r\n")
        if text:
            try:
                yield _geojson_record(orjson.loads(text), text)
            except orjson.JSONDecodeError:
                yield Skipped("a line that is no JSON")


def _geojson_record(document: object, payload: bytes | None = None) -> Record | Skipped:
    if not isinstance(document, dict):
        return Skipped("a value that is no JSON object")
    properties = document.get("properties")
    fields = properties if isinstance(properties, dict) else {}
    time = next((t for t in map(time_of, _named(fields, _TIMES)) if t is not None), None)
    names = (document.get("id"), *_named(fields, _IDS))
    ident = next((str(n) for n in names if isinstance(n, str | int) and n != ""), None)
    return Record(time, fields, payload or orjson.dumps(document), ident)


def _named(fields: dict[str, Any], wanted: tuple[str, ...]) -> list[object]:
    plain = {name.lower().replace("_", ""): value for name, value in fields.items()}
    return [plain[name] for name in wanted if plain.get(name) is not None]


# NMEA and other text: a line is a message.


def _text(file: IO[bytes]) -> _Read:
    lines = _lines(file)
    head = list(itertools.islice(lines, _HEAD_LINES))
    if any(sentence_fields(line.strip()) for line in head):
        yield from _nmea(itertools.chain(head, lines))
        return
    if any(b"\0" in line for line in head):
        raise ShapeError("neither lines of text nor a log of NMEA. Give it the ending of its kind")
    for line in itertools.chain(head, lines):
        payload = line.rstrip(b"\r\n")
        if payload:
            yield Record(None, None, payload)


def _nmea(lines: Iterable[bytes]) -> _Read:
    clock = _NmeaClock()
    for line in lines:
        sentence = line.rstrip(b"\r\n")
        if sentence and not sentence.startswith(b"#"):
            fields = sentence_fields(sentence)
            yield Record(clock.read(fields) if fields else clock.time, None, sentence)


class _NmeaClock:
    """The time of a log: dates from RMC and ZDA, times of the day from GGA too."""

    def __init__(self) -> None:
        self.time: float | None = None
        self._date = ""

    def read(self, fields: list[str]) -> float | None:
        """The time at a sentence: its own, or that of the one before."""
        kind = fields[0][2:]
        if kind == "RMC" and len(fields) > 9:  # noqa: PLR2004 - where the date stands
            self._set(fields[9], fields[1])
        elif kind == "ZDA" and len(fields) > 4:  # noqa: PLR2004
            self._set(f"{fields[2]:0>2}{fields[3]:0>2}{fields[4][-2:]}", fields[1])
        elif kind == "GGA" and len(fields) > 1:
            self._set(self._date, fields[1])
        return self.time

    def _set(self, date: str, clock: str) -> None:
        moment = clock_of(date, clock)
        if moment is not None:
            self._date, self.time = date, moment


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """Lines with their ends, none longer than ``LONGEST_LINE``."""
    while line := file.readline(LONGEST_LINE + 1):
        if len(line) > LONGEST_LINE:
            raise ShapeError(f"a line of more than {LONGEST_LINE} bytes")
        yield line


_READERS: Final[dict[str, Callable[[IO[bytes]], _Read]]] = {
    ".csv": _csv,
    ".gpx": read_gpx,
    ".geojson": _geojson,
    ".json": _geojson,
    ".geojsonl": _sequence,
    ".geojsons": _sequence,
    ".ndjson": _sequence,
    ".jsonl": _sequence,
}
