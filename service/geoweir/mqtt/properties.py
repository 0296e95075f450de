"""The properties of an MQTT 5 PUBLISH, packed without paho's general machinery.

paho builds a dictionary of all property names for each set of properties (about 30 microseconds a
message); we send two kinds only. Encoding: MQTT 5.0, section 2.2.2.
"""

from __future__ import annotations

from typing import Final

from geoweir.core.lane import Headers

__all__ = ["PublishProperties"]

_CONTENT_TYPE: Final = 0x03
_USER_PROPERTY: Final = 0x26
_MOST_TEXT: Final = 65_535


class PublishProperties:
    """A content type and user properties; texts are UTF-8 of at most 65,535 bytes."""

    __slots__ = ("_packed",)

    def __init__(self, content_type: str | None, headers: Headers) -> None:
        body = bytearray()
        if content_type is not None:
            body.append(_CONTENT_TYPE)
            body += _text(content_type)
        for name, value in headers:
            body.append(_USER_PROPERTY)
            body += _text(name)
            body += _text(value)
        self._packed = _variable_length(len(body)) + bytes(body)

    def pack(self) -> bytes:
        """The properties as they stand in a PUBLISH, with their length."""
        return self._packed


def _text(text: str) -> bytes:
    encoded = text.encode()
    if len(encoded) > _MOST_TEXT:
        raise ValueError(f"a property of {len(encoded)} bytes, over {_MOST_TEXT}")
    return len(encoded).to_bytes(2, "big") + encoded


def _variable_length(length: int) -> bytes:
    out = bytearray()
    while True:
        length, digit = divmod(length, 128)
        out.append(digit | (0x80 if length else 0))
        if not length:
            return bytes(out)
