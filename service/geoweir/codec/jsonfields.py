"""Plain JSON documents: the position stands at configured field paths."""

from __future__ import annotations

from geoweir.codec.geometry import point_sketch
from geoweir.codec.numbers import number
from geoweir.codec.paths import FieldPath, parse_path
from geoweir.codec.rows import FieldReader, Input, Row
from geoweir.core.spec import StreamSpec
from geoweir.errors import ConfigurationError, SenderError

__all__ = ["JSONFieldsReader"]


class JSONFieldsReader:
    """Reads ``format: json``: a point per document, whose properties are the whole document."""

    def __init__(self, spec: StreamSpec) -> None:
        self._fields = FieldReader(spec)
        self._x, self._where_x = _required(spec, "x", spec.fields.x)
        self._y, self._where_y = _required(spec, "y", spec.fields.y)
        self._z = None if spec.fields.z is None else parse_path(spec.fields.z)
        self._where_z = spec.fields.z or ""

    def read(self, given: Input) -> list[Row]:
        """The one feature of an input; see FormatReader."""
        document = given.document
        if type(document) is not dict:
            raise SenderError("shape", "The payload is not a JSON object.")
        ident, literal = self._fields.id(given, document)
        time = self._fields.time(given, document)
        x = number(self._x.get(document, given.address), self._where_x)
        y = number(self._y.get(document, given.address), self._where_y)
        z = None if self._z is None else self._z.get(document, given.address)
        if z is not None:
            z = number(z, self._where_z)
        return [Row(ident, literal, time, point_sketch(x, y, z), document)]


def _required(spec: StreamSpec, name: str, path: str | None) -> tuple[FieldPath, str]:
    if path is None:
        raise ConfigurationError(
            f"Stream {spec.name} has format json but no fields.{name}. Name the path of its {name}."
        )
    return parse_path(path), path
