"""Ids: which value of an input is its id, and its text exactly as it was sent.

A parser makes floats of numbers beyond 64 bits, so that two ids would become one. The text of a
number is therefore taken from the payload's own bytes wherever the parsed value may differ from
it. Where a member is repeated, the last one counts.
"""

from __future__ import annotations

from typing import Final

import msgspec
import orjson

from geoweir.codec.paths import FieldPath, PayloadPath, TopicLevel, list_index, parse_path
from geoweir.core.spec import StreamSpec
from geoweir.errors import SenderError

__all__ = ["LONGEST_ID", "IdReader", "OwnTracksDevice", "Owner", "id_path"]

#: Bytes of an id at most, as MQTT bounds a string.
LONGEST_ID: Final = 65_535
_LARGEST_GLANCE: Final = 262_144  # bytes of payload that are worth a look for ids on the loop
_COLLECTION: Final = msgspec.Raw(b'"FeatureCollection"')
_EXACT_INTEGER: Final = -(2**63), 2**64  # what the parser keeps as an integer

#: What the typed reading of hostile bytes may raise.
_UNREADABLE: Final = (msgspec.MsgspecError, ValueError, RecursionError)


class OwnTracksDevice:
    """The id that OwnTracks puts into its topics: ``owntracks/user/device`` is user/device."""

    def get(self, document: object, address: str) -> str | None:  # noqa: ARG002 - see FieldPath
        """``user/device``, None where the topic has another form."""
        _, found, rest = f"/{address}".partition("/owntracks/")
        levels = rest.split("/")
        return "/".join(levels[:2]) if found and len(levels) > 1 and all(levels[:2]) else None


def id_path(spec: StreamSpec) -> FieldPath:
    """Where the stream's ids stand: as configured, or where the format puts them."""
    if spec.fields.id is not None:
        return parse_path(spec.fields.id)
    return OwnTracksDevice() if spec.format == "owntracks" else PayloadPath(("id",))


class Owner:
    """Whose input it may be: of a stream with ``id_must_match``, the id on its topic's level.

    A broker's access list binds a topic to a sender's credentials; this binds the id to the topic.
    """

    def __init__(self, spec: StreamSpec) -> None:
        path = None if spec.id_must_match is None else parse_path(spec.id_must_match)
        self._level = path if isinstance(path, TopicLevel) else None

    def check(self, ident: str, address: str) -> None:
        """Refuses an id that another may use only.

        Raises:
            SenderError: ``identity``.
        """
        if self._level is None or ident == self._level.get(None, address):
            return
        raise SenderError(
            "identity",
            f"The id is not the topic's level {self._level.level}; id_must_match wants it to be.",
        )


class IdReader:
    """Reads the ids of one stream's inputs."""

    def __init__(self, spec: StreamSpec) -> None:
        self._path = id_path(spec)
        self._owner = Owner(spec)
        self._most = spec.limits.features
        self._many = spec.format == "geojson"
        self._known: tuple[bytes, list[bytes | None]] = b"", []  # the last payload's literals

    def read(
        self, document: object, payload: bytes, address: str, member: int | None = None
    ) -> tuple[str, bytes]:
        """The id of one feature, as text and as JSON.

        Args:
            document: the parsed payload, or the parsed feature of a FeatureCollection.
            payload: the bytes that the whole document was parsed from.
            address: the input's topic.
            member: the feature's index in its FeatureCollection.

        Returns:
            The text (of a number: its digits as they were sent), and the id as a JSON literal.

        Raises:
            SenderError: ``id`` when there is none that can be one, ``identity`` when it is another
                sender's.
        """
        text, literal = self._read_id(document, payload, address, member)
        self._owner.check(text, address)
        return text, literal

    def _read_id(
        self, document: object, payload: bytes, address: str, member: int | None
    ) -> tuple[str, bytes]:
        value = self._path.get(document, address)
        if type(value) is str and value:
            return value, _text_literal(value)
        if type(value) is int and value and _EXACT_INTEGER[0] <= value < _EXACT_INTEGER[1]:
            text = str(value)
            return text, text.encode()
        if type(value) is float or type(value) is int:
            return self._number(payload, member)
        raise SenderError("id", self._why_none(value))

    def glance(self, payload: bytes, address: str) -> list[str]:
        """The ids of an input as far as they can be read cheaply; never raises.

        An input of more than 256 KiB is not looked into; at most ``limits.features`` ids.
        """
        if not isinstance(self._path, PayloadPath):
            value = self._path.get(None, address)
            return [value] if value else []
        if len(payload) > _LARGEST_GLANCE:
            return []
        try:
            found = [_text_of(literal) for literal in self._literals(payload)]
        except _UNREADABLE:
            return []
        return [text for text in found if text is not None]

    def _literals(self, payload: bytes) -> list[bytes | None]:
        """The bytes of every feature's id, None where there is none."""
        if self._many:
            root = msgspec.json.decode(payload, type=dict[str, msgspec.Raw])
            if root.get("type") == _COLLECTION and "features" in root:
                items = msgspec.json.decode(root["features"], type=list[msgspec.Raw])
                return [self._literal(item) for item in items[: self._most]]
        return [self._literal(payload)]

    def _literal(self, value: bytes | msgspec.Raw) -> bytes | None:
        """The bytes of the id within one feature."""
        found: bytes | msgspec.Raw | None = value
        for name in getattr(self._path, "names", ()):
            found = None if found is None else _member(bytes(found), name)
        return None if found is None else bytes(found)

    def _number(self, payload: bytes, member: int | None) -> tuple[str, bytes]:
        """A number's own digits, from the payload's bytes."""
        if self._known[0] is not payload:  # once for all members of a collection
            try:
                self._known = payload, self._literals(payload)
            except RecursionError:
                raise SenderError("depth", "The JSON is nested too deep to read its id.") from None
        literal = self._known[1][member or 0]
        text = None if literal is None else _text_of(literal)
        if literal is None or text is None:
            raise SenderError("id", "The id is a number that can't be read exactly.")
        return text, literal

    def _why_none(self, value: object) -> str:
        if isinstance(self._path, OwnTracksDevice):
            return "The topic is not owntracks/user/device; set fields.id."
        where = (
            f"topic level {self._path.level}"
            if isinstance(self._path, TopicLevel)
            else ".".join(getattr(self._path, "names", ()))
        )
        if value is None:
            return f"There is no id at {where}."
        return f"What stands at {where} is neither a text (not empty) nor a number."


def _text_literal(text: str) -> bytes:
    """A text id as JSON.

    Raises:
        SenderError: ``id`` when it is too long or holds half a surrogate pair.
    """
    try:
        literal = orjson.dumps(text)
    except TypeError:
        raise SenderError("id", "The id is not valid Unicode.") from None
    if len(literal) > LONGEST_ID and len(text.encode()) > LONGEST_ID:
        raise SenderError("id", f"The id is longer than {LONGEST_ID} bytes.")
    return literal


def _text_of(literal: bytes | None) -> str | None:
    """The text of an id's JSON literal, None where it can't be an id."""
    if not literal:
        return None
    if literal[0] in b"-0123456789":
        return literal.decode() if len(literal) <= LONGEST_ID else None
    if literal[0] != ord('"'):
        return None
    try:
        text = str(orjson.loads(literal))
    except orjson.JSONDecodeError:
        return None
    # Escapes make a literal up to six times as long as its text.
    return text if 0 < len(text.encode()) <= LONGEST_ID else None


def _member(value: bytes, name: str) -> msgspec.Raw | None:
    """The bytes of one member of an object, or item of a list."""
    if value[:1] == b"{":
        return msgspec.json.decode(value, type=dict[str, msgspec.Raw]).get(name)
    index = list_index(name)
    if value[:1] == b"[" and index is not None:
        return next(
            iter(msgspec.json.decode(value, type=list[msgspec.Raw])[index : index + 1]), None
        )
    return None
