"""OwnTracks: the location messages of its apps.

Everything else that they publish (transition, waypoint, lwt, card …) is refused by name: subscribe
to the topics of locations only, or expect the others among the rejected.
"""

from __future__ import annotations

from geoweir.codec.geometry import point_sketch
from geoweir.codec.numbers import number
from geoweir.codec.rows import FieldReader, Input, Row
from geoweir.core.spec import StreamSpec
from geoweir.errors import SenderError

__all__ = ["OwnTracksReader"]


class OwnTracksReader:
    """Reads ``_type: location``; its time is ``tst`` unless fields.time says otherwise."""

    def __init__(self, spec: StreamSpec) -> None:
        self._fields = FieldReader(spec, time="tst")

    def read(self, given: Input) -> list[Row]:
        """The one feature of an input; see FormatReader."""
        document = given.document
        if type(document) is not dict:
            raise SenderError("shape", "The payload is not a JSON object.")
        kind = document.get("_type")
        if kind != "location":
            said = f"{kind[:32]!a}" if type(kind) is str else "missing or no text"
            raise SenderError("shape", f"The OwnTracks _type is {said}; only location is read.")
        ident, literal = self._fields.id(given, document)
        time = self._fields.time(given, document)
        x = number(document.get("lon"), "lon")
        y = number(document.get("lat"), "lat")
        alt = document.get("alt")
        z = None if alt is None else number(alt, "alt")
        return [Row(ident, literal, time, point_sketch(x, y, z), document)]
