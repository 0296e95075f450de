"""MQTT 5 packets as bytes, as far as we write them: see the OASIS standard, MQTT Version 5.0.

Pure functions, no socket. What is read stands in ``reader``. Texts are UTF-8 of at most 65,535
bytes; what can't be carried is a ValueError before anything is written.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from geoweir.core.lane import Headers
from geoweir.ports import Outgoing

__all__ = [
    "DISCONNECT",
    "KEY_PROPERTY",
    "PINGREQ",
    "PacketType",
    "Session",
    "connect",
    "pubacks",
    "publish",
    "publish_properties",
    "subscribe",
    "topic_bytes",
    "variable_length",
]

#: The user property that holds a message's key.
KEY_PROPERTY: Final = "geoweir-key"

PINGREQ: Final = b"\xc0\x00"
DISCONNECT: Final = b"\xe0\x00"

_LONGEST_TEXT: Final = 65_535
_LONGEST_BODY: Final = 268_435_455  # section 1.5.5, Variable Byte Integer
_RETAIN_IF_NEW: Final = 1 << 4  # retained messages come with a new subscription only

_TWO: Final = struct.Struct(">H")
_FOUR: Final = struct.Struct(">I")


class PacketType:
    """The control packet types of section 2.1.2."""

    CONNECT: Final = 1
    CONNACK: Final = 2
    PUBLISH: Final = 3
    PUBACK: Final = 4
    SUBSCRIBE: Final = 8
    SUBACK: Final = 9
    PINGRESP: Final = 13
    DISCONNECT: Final = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What CONNECT says of us. Clean Start is always 0: see ``docs/broker.md``."""

    client_id: str
    keepalive_s: int
    session_expiry_s: int
    maximum_packet: int
    topic_aliases: int  # that the broker may use towards us
    receive_maximum: int | None = None
    username: str | None = None
    password: str | None = None
    will: Outgoing | None = None


def connect(session: Session) -> bytes:
    """CONNECT, section 3.1."""
    flags = 0
    will = session.will
    if will is not None:
        flags |= 0x04 | will.qos << 3 | will.retain << 5
    if session.username is not None:
        flags |= 0x80
    if session.password is not None:
        flags |= 0x40
    properties = b"\x11" + _FOUR.pack(session.session_expiry_s)
    properties += b"\x27" + _FOUR.pack(session.maximum_packet)
    properties += b"\x22" + _TWO.pack(session.topic_aliases)
    if session.receive_maximum is not None:
        properties += b"\x21" + _TWO.pack(session.receive_maximum)
    body = [
        b"\x00\x04MQTT\x05",
        bytes((flags,)),
        _TWO.pack(session.keepalive_s),
        variable_length(len(properties)),
        properties,
        _text(session.client_id),
    ]
    if will is not None:
        kind = b"" if will.content_type is None else b"\x03" + _text(will.content_type)
        body += [variable_length(len(kind)), kind, _text(will.topic), _binary(will.payload)]
    if session.username is not None:
        body.append(_text(session.username))
    if session.password is not None:
        body.append(_text(session.password))
    return _packet(0x10, b"".join(body))


def subscribe(packet_id: int, topic_filter: str, qos: int) -> bytes:
    """SUBSCRIBE to one filter, section 3.8.

    No Local stays off: what we publish leaves by a connection of its own, and it is forbidden for
    shared subscriptions. Retain As Published stays off: the flag then says that a message is old.
    """
    options = bytes((qos | _RETAIN_IF_NEW,))
    return _packet(0x82, _TWO.pack(packet_id) + b"\x00" + _text(topic_filter) + options)


def pubacks(packet_ids: Sequence[int]) -> bytes:
    """A PUBACK with success for each, section 3.4; four bytes a packet."""
    return struct.pack(f">{len(packet_ids)}I", *[0x40020000 | mid for mid in packet_ids])


def publish(
    out: list[bytes], message: Outgoing, packet_id: int, topic: bytes, properties: bytes
) -> None:
    """Appends a PUBLISH in pieces, section 3.3; every result passes here.

    Args:
        out: pieces that are joined for one write.
        message: what is sent.
        packet_id: from 1; 0 at QoS 0.
        topic: see ``topic_bytes``; empty where an alias stands for it.
        properties: see ``publish_properties``.

    Raises:
        ValueError: the packet is longer than MQTT has; nothing is appended.
    """
    qos, payload = message.qos, message.payload
    size = variable_length(len(properties))
    length = 2 + len(topic) + (2 if qos else 0) + len(size) + len(properties) + len(payload)
    out += (
        _PUBLISH[qos << 1 | message.retain],
        variable_length(length),
        len(topic).to_bytes(2, "big"),
        topic,
        packet_id.to_bytes(2, "big") if qos else b"",
        size,
        properties,
        payload,
    )


def topic_bytes(topic: str) -> bytes:
    """A topic to publish to; ValueError for one that can't be (sections 3.3.2.1 and 4.7)."""
    encoded = topic.encode()
    if not 0 < len(encoded) <= _LONGEST_TEXT:
        raise ValueError(f"a topic of {len(encoded)} bytes")
    if b"+" in encoded or b"#" in encoded or b"\0" in encoded:
        raise ValueError("a topic with a wildcard or NUL")
    return encoded


def publish_properties(
    content_type: str | None, headers: Headers, key: str | None, alias: int = 0
) -> bytes:
    """The properties of a PUBLISH, without their length (section 3.3.2.3)."""
    packed = _content(content_type)
    if key is not None:
        encoded = key.encode()
        if len(encoded) > _LONGEST_TEXT:
            raise ValueError(f"a key of {len(encoded)} bytes, over {_LONGEST_TEXT}")
        packed += _KEY + len(encoded).to_bytes(2, "big") + encoded
    if alias:
        packed += b"\x23" + _TWO.pack(alias)
    for name, value in headers:
        packed += b"\x26" + _text(name) + _text(value)
    return packed


@cache
def _content(content_type: str | None) -> bytes:
    """The property of a content type, of which there are a few."""
    return b"" if content_type is None else b"\x03" + _text(content_type)


def variable_length(length: int) -> bytes:
    """A Variable Byte Integer, section 1.5.5."""
    if length < len(_LENGTHS):
        return _LENGTHS[length]
    if length > _LONGEST_BODY:
        raise ValueError(f"{length} bytes in one packet")
    return _encoded(length)


def _encoded(length: int) -> bytes:
    out = bytearray()
    while True:
        length, digit = divmod(length, 0x80)
        out.append(digit | (0x80 if length else 0))
        if not length:
            return bytes(out)


#: The usual lengths, encoded once.
_LENGTHS: Final = [_encoded(length) for length in range(2048)]
#: PUBLISH's first byte by QoS and retain.
_PUBLISH: Final = [bytes((0x30 | low,)) for low in range(16)]


def _packet(head: int, body: bytes) -> bytes:
    return bytes((head,)) + variable_length(len(body)) + body


def _text(text: str) -> bytes:
    return _binary(text.encode())


def _binary(data: bytes) -> bytes:
    if len(data) > _LONGEST_TEXT:
        raise ValueError(f"a text of {len(data)} bytes, over {_LONGEST_TEXT}")
    return _TWO.pack(len(data)) + data


#: What stands before a key.
_KEY: Final = b"\x26" + _text(KEY_PROPERTY)
