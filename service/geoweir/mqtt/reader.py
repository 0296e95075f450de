"""MQTT 5 packets as they are read: whole reads become batches.

No socket and no clock. The broker is trusted to be a broker and not to be sound: every length is
checked against its packet, and what can't be right is a ``MalformedError`` that ends the
connection. Section numbers are those of the OASIS standard, MQTT Version 5.0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from geoweir.core.lane import DURABLE, REPEATED, RETAINED, Headers
from geoweir.mqtt.link import (
    REFUSED,
    Arrivals,
    bounded_headers,
)
from geoweir.mqtt.packets import PacketType
from geoweir.mqtt.reasons import reason_text
from geoweir.ports import Refusal

__all__ = [
    "MalformedError",
    "Packet",
    "PacketReader",
    "Properties",
    "Read",
    "read_properties",
    "variable",
]

_CACHED: Final = 512  # sets of properties that are remembered, each of at most so many bytes
_PUBLISH: Final = PacketType.PUBLISH << 4
_PUBACK: Final = PacketType.PUBACK << 4
#: A byte of a Variable Byte Integer without its continuation bit (section 1.5.5).
_LOW: Final = 0x7F
_LAST_SHIFT: Final = 21
_PLAIN_PUBACK: Final = 2  # bytes of a PUBACK that says yes: the packet id
_QOS: Final = 0x06
_QOS_2: Final = 0x04

#: The flags of an input by the low half of PUBLISH's first byte (section 3.3.1).
_FLAGS: Final = bytes(
    (DURABLE if low & _QOS else 0) | (REPEATED if low & 8 else 0) | (RETAINED if low & 1 else 0)
    for low in range(16)
)


class MalformedError(ValueError):
    """The broker sent what MQTT 5 does not allow."""


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet that is neither PUBLISH nor PUBACK: its type, and what follows the length."""

    kind: int
    body: bytes


@dataclass(slots=True)
class Read:
    """What was read at once.

    Attributes:
        acknowledged: packet ids that the broker answered, in order.
        refused: what it said to those that it refused.
        is_full: there is another input, for which there was no room.
    """

    arrivals: Arrivals = field(default_factory=Arrivals)
    acknowledged: list[int] = field(default_factory=list)
    refused: dict[int, Refusal] = field(default_factory=dict)
    others: list[Packet] = field(default_factory=list)
    is_full: bool = False


class PacketReader:
    """Cuts a stream of bytes into packets.

    Args:
        maximum_packet: bytes of one packet at most.
        topic_aliases: how many the broker may use.
    """

    def __init__(self, *, maximum_packet: int, topic_aliases: int) -> None:
        self._maximum_packet = maximum_packet
        self._topic_aliases = topic_aliases
        self._aliases: dict[int, str] = {}
        self._known: dict[bytes, tuple[Headers, int]] = {b"": ((), 0)}
        self._data = b""
        self._at = 0
        self._more: list[bytes] = []
        self._more_bytes = 0
        self._needed = 0  # bytes from ``_at`` without which nothing can be read

    @property
    def waiting_bytes(self) -> int:
        """Bytes that were fed and not yet read."""
        return len(self._data) - self._at + self._more_bytes

    def feed(self, data: bytes) -> None:
        """Takes what the socket gave."""
        self._more.append(data)
        self._more_bytes += len(data)

    def read(self, count: int, size: int) -> Read:
        """Everything that is whole, up to ``count`` inputs or ``size`` bytes of their packets.

        The input that passes ``size`` is the last one.

        Raises:
            MalformedError: the broker broke the protocol.
        """
        found = Read()
        if self._gather():
            try:
                self._read(found, count, size)
            except IndexError:  # a length beyond the data
                raise MalformedError("a packet is shorter than it says") from None
        return found

    def _gather(self) -> bool:
        """Joins what was fed, once it is enough: a large packet is not copied for each read."""
        if self.waiting_bytes < self._needed or not self.waiting_bytes:
            return False
        if self._more:
            rest = self._data[self._at :]
            self._data = b"".join((rest, *self._more)) if rest else b"".join(self._more)
            self._at, self._more, self._more_bytes = 0, [], 0
        return True

    def _read(self, found: Read, count: int, size: int) -> None:
        data, at, end = self._data, self._at, len(self._data)
        spans: list[tuple[int, int, int]] = []
        acknowledged, room = found.acknowledged, size
        self._needed = 0
        while end - at > 1:
            head, length, body = data[at], data[at + 1], at + 2
            if length > _LOW:
                if end - at > 2 and data[body] <= _LOW:  # noqa: PLR2004 - two bytes, as usual
                    length, body = length & _LOW | data[body] << 7, body + 1
                else:
                    length, body = self._length(at)
                    if not body:
                        break
            stop = body + length
            if stop > end:
                self._needed = stop - at
                break
            if head & 0xF0 == _PUBLISH:
                if len(spans) >= count or room <= 0:
                    found.is_full = True
                    break
                spans.append((head & 0x0F, body, stop))
                room -= length
            elif head == _PUBACK:
                mid = data[body] << 8 | data[body + 1]
                acknowledged.append(mid)
                if length != _PLAIN_PUBACK:
                    _judge(data[body:stop], mid, found)
            else:
                found.others.append(Packet(head >> 4, data[body:stop]))
            at = stop
        self._inputs(found.arrivals, spans)
        self._at = at

    def _length(self, at: int) -> tuple[int, int]:
        """A length of two to four bytes and where the body begins; (0, 0) where it is cut off."""
        data, length, shift, place = self._data, self._data[at + 1] & _LOW, 7, at + 2
        while place < len(data):
            byte = data[place]
            length |= (byte & _LOW) << shift
            place += 1
            if byte <= _LOW:
                if length > self._maximum_packet:
                    raise MalformedError(
                        f"a packet of {length} bytes, over our Maximum Packet Size"
                    )
                return length, place
            shift += 7
            if shift > _LAST_SHIFT:
                raise MalformedError("a length of more than four bytes")
        return 0, 0

    def _inputs(self, arrivals: Arrivals, spans: list[tuple[int, int, int]]) -> None:
        """Fills the columns from PUBLISH packets (section 3.3), each by its flags and its bounds.

        Every input passes this loop: nothing in it is a call where a line would do.
        """
        data = self._data
        add_mid, add_payload = arrivals.mids.append, arrivals.payloads.append
        add_address, add_headers = arrivals.addresses.append, arrivals.headers.append
        size = 0
        for low, body, stop in spans:
            at = body + 2 + (data[body] << 8 | data[body + 1])
            topic = data[body + 2 : at]
            mid = 0
            if low & _QOS:
                mid = data[at] << 8 | data[at + 1]
                at += 2
                if low & _QOS_2 or not mid:
                    raise MalformedError("a PUBLISH of a QoS or packet id that can't be")
            if data[at] or not topic:
                headers, address, at = self._with_properties(topic, at, stop)
            else:
                at += 1
                headers, address = (), topic.decode("utf-8", "backslashreplace")
            if at > stop:
                raise MalformedError("a PUBLISH whose parts do not fit")
            add_mid(mid)
            add_payload(data[at:stop])
            add_address(address)
            add_headers(headers)
            size += stop - at
        arrivals.flags += bytes([_FLAGS[low] for low, _, _ in spans])
        arrivals.size += size

    def _with_properties(self, topic: bytes, at: int, stop: int) -> tuple[Headers, str, int]:
        """The headers and the topic of a PUBLISH with properties, and where its payload begins."""
        length, at = variable(self._data, at)
        packed = self._data[at : at + length]
        if at + length > stop:
            raise MalformedError("properties that end behind their packet")
        known = self._known.get(packed)
        if known is None:
            properties = read_properties(packed)
            known = bounded_headers(properties.user), properties.alias
            if length <= _CACHED:
                if len(self._known) >= _CACHED:
                    self._known = {b"": ((), 0)}
                self._known[packed] = known
        headers, alias = known
        return headers, self._address(topic, alias), at + length

    def _address(self, topic: bytes, alias: int) -> str:
        if not alias:
            if not topic:
                raise MalformedError("a PUBLISH without a topic")
            return _decoded(topic)
        if alias > self._topic_aliases:
            raise MalformedError(f"topic alias {alias}, over our maximum")
        if topic:
            self._aliases[alias] = _decoded(topic)
        elif alias not in self._aliases:
            raise MalformedError(f"topic alias {alias}, which has no topic")
        return self._aliases[alias]


@dataclass(slots=True)
class Properties:
    """Properties that we read, of any packet (section 2.2.2.2)."""

    user: list[tuple[str, str]] = field(default_factory=list)
    numbers: dict[int, int] = field(default_factory=dict)
    reason: str | None = None

    @property
    def alias(self) -> int:
        """The topic alias, 0 for none."""
        return self.numbers.get(0x23, 0)


#: How each property is written: its width in bytes, or text, binary, variable, pair.
_WIDTHS: Final[dict[int, int]] = {
    0x01: 1, 0x02: 4, 0x11: 4, 0x13: 2, 0x17: 1, 0x18: 4, 0x19: 1, 0x21: 2, 0x22: 2, 0x23: 2,
    0x24: 1, 0x25: 1, 0x27: 4, 0x28: 1, 0x29: 1, 0x2A: 1,
}  # fmt: skip
_TEXTS: Final = frozenset({0x03, 0x08, 0x09, 0x12, 0x15, 0x16, 0x1A, 0x1C, 0x1F})
_SUBSCRIPTION_IDENTIFIER: Final = 0x0B
_REASON_STRING: Final = 0x1F
_USER_PROPERTY: Final = 0x26


def read_properties(packed: bytes) -> Properties:
    """Properties without their length.

    Raises:
        MalformedError: they are not properties, or end too soon.
    """
    found, at = Properties(), 0
    try:
        while at < len(packed):
            at = _read_property(packed, at, found)
    except IndexError:
        raise MalformedError("properties that are cut off") from None
    return found


def _read_property(packed: bytes, at: int, found: Properties) -> int:
    kind = packed[at]
    at += 1
    if kind in _WIDTHS:
        end = at + _WIDTHS[kind]
        _within(packed, end)
        found.numbers[kind] = int.from_bytes(packed[at:end], "big")
        return end
    if kind == _USER_PROPERTY:
        name, at = _binary(packed, at)
        value, at = _binary(packed, at)
        found.user.append((_decoded(name), _decoded(value)))
        return at
    if kind in _TEXTS:
        text, at = _binary(packed, at)
        if kind == _REASON_STRING:
            found.reason = _decoded(text)
        return at
    if kind == _SUBSCRIPTION_IDENTIFIER:
        return variable(packed, at)[1]
    raise MalformedError(f"property 0x{kind:02x}, which MQTT 5 does not have")


def _judge(body: bytes, mid: int, found: Read) -> None:
    """Notes the refusal of a PUBACK with a reason code that says no (section 3.4.2)."""
    code, explanation = body[_PLAIN_PUBACK], None
    if code < REFUSED:
        return
    if len(body) > _PLAIN_PUBACK + 1:
        length, at = variable(body, _PLAIN_PUBACK + 1)
        explanation = read_properties(body[at : at + length]).reason
    found.refused[mid] = Refusal(code, reason_text(code, explanation))


def variable(data: bytes, at: int) -> tuple[int, int]:
    """A Variable Byte Integer and where it ends; IndexError where it is cut off."""
    length = shift = 0
    while True:
        byte = data[at]
        length |= (byte & _LOW) << shift
        at += 1
        if byte <= _LOW:
            return length, at
        shift += 7
        if shift > _LAST_SHIFT:
            raise MalformedError("a length of more than four bytes")


def _binary(packed: bytes, at: int) -> tuple[bytes, int]:
    end = at + 2 + (packed[at] << 8 | packed[at + 1])
    _within(packed, end)
    return packed[at + 2 : end], end


def _within(packed: bytes, end: int) -> None:
    if end > len(packed):
        raise MalformedError("properties that are cut off")


def _decoded(text: bytes) -> str:
    # A text that is no UTF-8 must not cut the connection: it would come again for ever.
    return text.decode("utf-8", "backslashreplace")
