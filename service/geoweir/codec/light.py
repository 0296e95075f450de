"""The light read: id, position and time of a point, without building the message.

The event loop reads inputs so before its pre-filter; half a microsecond a message. What is not a
sound point (another geometry, many features, a fault of any kind) gives None: the worker decides.
The fields are read into typed structs made from the stream's paths; everything else in the payload
is skipped over, not checked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final, Literal, NamedTuple, cast

import msgspec

from geoweir.codec.ids import LONGEST_ID, IdReader, Owner, id_path
from geoweir.codec.numbers import number
from geoweir.codec.paths import FieldPath, PayloadPath, list_index, parse_path
from geoweir.codec.reach import reach_of
from geoweir.codec.times import read_time
from geoweir.core.spec import StreamSpec
from geoweir.errors import ConfigurationError, SenderError

__all__ = ["UNREADABLE", "Light", "LightReader", "Wanted"]

#: What reading hostile bytes may raise.
UNREADABLE: Final = (
    msgspec.MsgspecError,
    SenderError,
    ValueError,
    AttributeError,
    TypeError,
    LookupError,
    OverflowError,
    RecursionError,
)

_NUMBERS: Final = frozenset({int, float})

_Read = Callable[[Any, str], Any]


class Light(NamedTuple):
    """A point's id and position (in the stream's CRS), and its fix time in Unix seconds."""

    id: str
    x: float
    y: float
    z: float | None
    time: float | None


class LightReader:
    """Reads the points of one stream lightly."""

    def __init__(self, spec: StreamSpec) -> None:
        self._ids = IdReader(spec)
        self._owner = Owner(spec)
        self._reach = reach_of(spec)
        wanted = Wanted()
        self._id = wanted.path(id_path(spec), str | int | None)
        self._time = _time_path(spec, wanted)
        self._position = _position_paths(spec, wanted)
        self._decode = wanted.decoder()

    def read(self, payload: bytes, address: str) -> Light | None:
        """The point, or None when the worker must look; never raises."""
        try:
            return self._read(payload, address)
        except UNREADABLE:
            return None

    def ids(self, payload: bytes, address: str) -> list[str]:
        """The ids of an input for messages about it, as far as they can be read; never raises.

        At most ``limits.features`` ids; an input of more than 256 KiB is not looked into.
        """
        return self._ids.glance(payload, address)

    def _read(self, payload: bytes, address: str) -> Light | None:
        if self._decode is None:
            return None
        document = self._decode(payload)
        ident = self._id(document, address)
        if type(ident) is int:
            ident = str(ident)
        x, y, z = self._position(document, address)
        reach = self._reach
        if not (
            type(ident) is str
            and 0 < len(ident) <= LONGEST_ID // 4  # characters; four bytes are the most of each
            and -reach.x <= x <= reach.x
            and -reach.y <= y <= reach.y
            and (z is None or -reach.z <= z <= reach.z)
        ):
            return None
        self._owner.check(ident, address)  # or a forged fix would use up another's interval
        time = None if self._time is None else read_time(self._time(document, address))
        return Light(ident, x, y, z, time)


def _time_path(spec: StreamSpec, wanted: Wanted) -> _Read | None:
    path = spec.fields.time or ("tst" if spec.format == "owntracks" else None)
    return None if path is None else wanted.path(parse_path(path), str | int | float | None)


def _position_paths(
    spec: StreamSpec, wanted: Wanted
) -> Callable[[Any, str], tuple[float, float, float | None]]:
    """How the position is read in the stream's format."""
    if spec.format == "geojson":
        return _geojson_position(wanted)
    if spec.format == "owntracks":
        wanted.path(PayloadPath(("_type",)), Literal["location"], needed=True)
        names = ("lon", "lat", "alt")
    else:
        names = (spec.fields.x or "", spec.fields.y or "", spec.fields.z or "")
    number_type = float | str | None
    x, y, z = (None if not name else wanted.path(parse_path(name), number_type) for name in names)
    if x is None or y is None:
        raise ConfigurationError(
            f"Stream {spec.name} has no fields.x or no fields.y. Name their paths."
        )

    def read(document: Any, address: str) -> tuple[float, float, float | None]:  # noqa: ANN401
        height = None if z is None else z(document, address)
        return (
            number(x(document, address), "x"),
            number(y(document, address), "y"),
            None if height is None else number(height, "z"),
        )

    return read


def _geojson_position(
    wanted: Wanted,
) -> Callable[[Any, str], tuple[float, float, float | None]]:
    wanted.path(PayloadPath(("type",)), Literal["Feature"], needed=True)
    wanted.path(PayloadPath(("geometry", "type")), Literal["Point"], needed=True)
    # A crs member is for the worker to judge: here only null fits its type.
    wanted.path(PayloadPath(("crs",)), None)
    wanted.path(PayloadPath(("geometry", "crs")), None)
    coordinates = wanted.path(PayloadPath(("geometry", "coordinates")), list[float])

    def read(document: Any, address: str) -> tuple[float, float, float | None]:  # noqa: ANN401
        position = coordinates(document, address)
        x, y, z = position[0], position[1], position[2] if len(position) > 2 else None  # noqa: PLR2004
        # Wanted by another path as well, they were decoded as whatever they are.
        if type(x) in _NUMBERS and type(y) in _NUMBERS and (z is None or type(z) in _NUMBERS):
            return x, y, z
        raise SenderError("geometry", "The position holds something else than numbers.")

    return read


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A value that is read: its type, and whether the document must have it."""

    kind: Any
    needed: bool


class Wanted:
    """The tree of all members that are wanted, which becomes nested struct types."""

    def __init__(self) -> None:
        self._tree: dict[str, Any] = {}
        self._clash = False

    def path(self, path: FieldPath, kind: Any, *, needed: bool = False) -> _Read:  # noqa: ANN401 - a type
        """Wants the value at a path, and says how it is got from the typed document."""
        if not isinstance(path, PayloadPath):
            return path.get
        # Below a list's index the value is built as it is, and followed as in the worker.
        index = next((i for i, name in enumerate(path.names) if list_index(name) is not None), None)
        names, rest = path.names[:index], PayloadPath(path.names[len(path.names[:index]) :])
        leaf = _Leaf(Any if rest.names else kind, needed)
        get = attrgetter(".".join(self._insert(names, leaf)))
        if rest.names:
            return lambda document, address: rest.get(get(document), address)
        return lambda document, _address: get(document)

    def _insert(self, names: tuple[str, ...], leaf: _Leaf) -> list[str]:
        """Puts a leaf into the tree; the attributes that lead to it."""
        if not names:
            self._clash = True  # the document itself is a list
            return ["f0"]
        node = self._tree
        attributes = []
        for name in names[:-1]:
            inner = node.setdefault(name, {})
            attributes.append(f"f{list(node).index(name)}")
            if isinstance(inner, _Leaf):
                self._clash = True
                inner = {}
            node = inner
        found = node.setdefault(names[-1], leaf)
        if found != leaf:  # wanted twice, in two types
            self._clash |= isinstance(found, dict) or found.needed or leaf.needed
            node[names[-1]] = _Leaf(Any, needed=False)
        return [*attributes, f"f{list(node).index(names[-1])}"]

    def decoder(self) -> Callable[[bytes], Any] | None:
        """Decodes into the typed document; None where the paths contradict each other."""
        if self._clash:
            return None
        kind, _ = _struct(self._tree)
        return cast("Callable[[bytes], Any]", msgspec.json.Decoder(kind).decode)


def _struct(tree: dict[str, Any]) -> tuple[type[msgspec.Struct], bool]:
    """The struct type of a tree, and whether a document must have it."""
    fields: list[tuple[str, Any, Any]] = []
    any_needed = False
    for number_, (name, node) in enumerate(tree.items()):
        if isinstance(node, _Leaf):
            kind, needed = node.kind, node.needed
            missing: Any = (
                msgspec.field(name=name) if needed else msgspec.field(name=name, default=None)
            )
        else:
            kind, needed = _struct(node)
            missing = (
                msgspec.field(name=name)
                if needed
                else msgspec.field(name=name, default_factory=kind)
            )
        any_needed |= needed
        fields.append((f"f{number_}", kind, missing))
    return msgspec.defstruct("Wanted", fields, kw_only=True, gc=False), any_needed
