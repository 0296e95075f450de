"""The light read of a device's sequence number, on the event loop."""

from __future__ import annotations

from typing import Final, NamedTuple

from geoweir.codec.ids import LONGEST_ID, Owner, id_path
from geoweir.codec.light import UNREADABLE, Wanted
from geoweir.codec.paths import parse_path
from geoweir.core.spec import StreamSpec
from geoweir.errors import SenderError

__all__ = ["Numbered", "SequenceReader"]

_MOST: Final = 2**63
_MOST_DIGITS: Final = 19


class Numbered(NamedTuple):
    """A device's id and the sequence number of its input."""

    id: str
    number: int


class SequenceReader:
    """Reads the sequence numbers of one stream.

    Args:
        spec: the stream, with ``fields.sequence``.
    """

    def __init__(self, spec: StreamSpec) -> None:
        self._owner = Owner(spec)
        wanted = Wanted()
        self._id = wanted.path(id_path(spec), str | int | None)
        path = parse_path(spec.fields.sequence or "")
        self._number = wanted.path(path, int | str | None)
        self._decode = wanted.decoder()

    def read(self, payload: bytes, address: str) -> Numbered | None:
        """The number, a whole one from 0 on, as digits too; None where there is none; never raises.

        An input of several features has no id of its own, so none either.
        """
        if self._decode is None:
            return None
        try:
            document = self._decode(payload)
            ident, number = self._id(document, address), self._number(document, address)
        except UNREADABLE:
            return None
        if type(number) is str and number.isascii() and number.isdecimal():
            number = int(number) if len(number) <= _MOST_DIGITS else None
        if type(ident) is int:
            ident = str(ident)
        if type(ident) is not str or not 0 < len(ident) <= LONGEST_ID // 4:
            return None
        try:
            self._owner.check(ident, address)
        except SenderError:
            return None
        return Numbered(ident, number) if type(number) is int and 0 <= number < _MOST else None
