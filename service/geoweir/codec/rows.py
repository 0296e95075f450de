"""One feature as a format's reader hands it to the decoder, and the fields all formats share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from geoweir.codec.geometry import Sketch
from geoweir.codec.ids import IdReader
from geoweir.codec.paths import FieldPath, parse_path
from geoweir.codec.times import check_ahead, read_time
from geoweir.core.spec import StreamSpec

__all__ = ["FieldReader", "FormatReader", "Input", "Row"]


class Row(NamedTuple):
    """One feature; the columns of ``Features`` are made of these."""

    id: str
    literal: bytes
    time: float | None
    sketch: Sketch | None
    properties: dict[str, Any]


@dataclass(slots=True)
class Input:
    """One input: its bytes, what was parsed of them, and how it came."""

    document: Any
    payload: bytes
    address: str
    received: float


class FormatReader(Protocol):
    """Reads one format."""

    def read(self, given: Input) -> list[Row]:
        """The features of one input.

        Raises:
            SenderError: when the input can't be accepted; nothing of it is.
        """
        ...


class FieldReader:
    """Reads the id and the time of one stream's features."""

    def __init__(self, spec: StreamSpec, *, time: str | None = None) -> None:
        self._ids = IdReader(spec)
        path = spec.fields.time or time
        self._time: FieldPath | None = None if path is None else parse_path(path)
        self._ahead_s = spec.limits.ahead_s

    def id(self, given: Input, document: object, member: int | None = None) -> tuple[str, bytes]:
        """The id as text and as JSON.

        Raises:
            SenderError: ``id``.
        """
        return self._ids.read(document, given.payload, given.address, member)

    def time(self, given: Input, document: object) -> float | None:
        """The fix time in Unix seconds, None where there is none.

        Raises:
            SenderError: ``time`` or ``ahead``.
        """
        if self._time is None:
            return None
        seconds = read_time(self._time.get(document, given.address))
        check_ahead(seconds, given.received, self._ahead_s)
        return seconds
