"""GPX: a track point is a message; its track's name is the id."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any, Final
from xml.parsers import expat

from geoweir.cli.record import (
    Record,
    ShapeError,
    Skipped,
    point_record,
    position_of,
    time_of,
    value_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["read_gpx"]

_CHUNK: Final = 65_536


def read_gpx(file: IO[bytes]) -> Iterator[Record | Skipped]:
    """The track points as GeoJSON Features, in the order of the file.

    Raises:
        ShapeError: there is no track in it, or it declares a document type.
        expat.ExpatError: it is no XML.
    """
    reader = _GpxReader()
    for chunk in iter(lambda: file.read(_CHUNK), b""):
        yield from reader.feed(chunk)
    yield from reader.feed(b"", is_last=True)
    if not reader.tracks:
        raise ShapeError("no track in it")


class _GpxReader:
    """Track points from the parser's own events: no tree is built, and no entity is expanded."""

    def __init__(self) -> None:
        self.tracks = 0
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._open: list[str] = []
        self._text = ""
        self._track = ""
        self._point: tuple[str, str] | None = None
        self._fields: dict[str, Any] = {}
        self._ready: list[Record | Skipped] = []

    def feed(self, chunk: bytes, *, is_last: bool = False) -> list[Record | Skipped]:
        """What is complete after a further piece of the file."""
        self._parser.Parse(chunk, is_last)
        ready, self._ready = self._ready, []
        return ready

    @staticmethod
    def _refuse(*_: object) -> None:
        raise ShapeError("it declares a document type, which can define entities; no GPX needs it")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition(" ")[2]
        self._open.append(name)
        self._text = ""
        if name == "trk":
            self.tracks += 1
            self._track = f"track-{self.tracks}"
        elif name == "trkpt":
            self._point = attributes.get("lon", ""), attributes.get("lat", "")
            self._fields = {}

    def _characters(self, text: str) -> None:
        self._text += text

    def _end(self, _tag: str) -> None:
        name = self._open.pop()
        inside = self._open[-1] if self._open else ""
        text = self._text.strip()
        self._text = ""
        if name == "trkpt":
            self._ready.append(self._finished())
        elif name == "name" and inside == "trk":
            self._track = text or self._track
        elif self._point is not None and text:
            self._fields[name] = text if name == "time" else value_of(text)

    def _finished(self) -> Record | Skipped:
        lon, lat = self._point or ("", "")
        self._point = None
        height = self._fields.pop("ele", None)
        position = position_of(lon, lat)
        if position is None:
            return Skipped("a track point without a position")
        if isinstance(height, int | float):
            position.append(height)
        return point_record(position, self._fields, self._track, time_of(self._fields.get("time")))
