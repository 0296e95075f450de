"""A broker's side of MQTT 5, as far as the service uses it; apart from the product's own code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ["Connect", "Packet", "Publish", "Wire", "encode_publish", "packet"]

_FOUR_BYTES = {0x02, 0x11, 0x18, 0x27}
_TWO_BYTES = {0x13, 0x21, 0x22, 0x23}
_TEXTS = {0x03, 0x08, 0x12, 0x15, 0x1A, 0x1C, 0x1F}


@dataclass(frozen=True)
class Packet:
    """A packet: type, low half of its first byte, and body."""

    kind: int
    low: int
    body: bytes


@dataclass
class Publish:
    """A PUBLISH of the service's."""

    topic: str
    payload: bytes
    qos: int
    mid: int
    retain: bool
    user: list[tuple[str, str]] = field(default_factory=list)
    alias: int = 0

    @property
    def key(self) -> str:
        """The message's key, empty where it has none."""
        return dict(self.user).get("geoweir-key", "")


@dataclass
class Connect:
    """A CONNECT."""

    client_id: str
    keepalive_s: int
    expiry_s: int
    receive_maximum: int
    will: tuple[str, bytes] | None


class Wire:
    """Cuts bytes into packets."""

    def __init__(self) -> None:
        self._data = b""

    def feed(self, data: bytes) -> Iterator[Packet]:
        """Every packet that is whole now."""
        self._data += data
        while len(self._data) >= 2:
            try:
                length, at = _variable(self._data, 1)
            except IndexError:
                return
            if len(self._data) < at + length:
                return
            head, body = self._data[0], self._data[at : at + length]
            self._data = self._data[at + length :]
            yield Packet(head >> 4, head & 15, body)


def packet(head: int, body: bytes) -> bytes:
    """A whole packet."""
    return bytes((head,)) + _length(len(body)) + body


def encode_publish(topic: str, payload: bytes, qos: int, mid: int, *, dup: bool) -> bytes:
    """A PUBLISH to the service."""
    body = _text(topic) + (mid.to_bytes(2, "big") if qos else b"") + b"\0" + payload
    return packet(0x30 | qos << 1 | dup << 3, body)


def decode_publish(got: Packet) -> Publish:
    """A PUBLISH of the service's."""
    qos = got.low >> 1 & 3
    topic, at = _binary(got.body, 0)
    mid = 0
    if qos:
        mid, at = int.from_bytes(got.body[at : at + 2], "big"), at + 2
    numbers, user, at = _properties(got.body, at)
    return Publish(
        topic.decode(), got.body[at:], qos, mid, bool(got.low & 1), user, numbers.get(0x23, 0)
    )


def decode_connect(body: bytes) -> Connect:
    """A CONNECT."""
    assert body[:7] == b"\0\4MQTT\5", "not MQTT 5"
    flags, keepalive_s = body[7], int.from_bytes(body[8:10], "big")
    numbers, _, at = _properties(body, 10)
    client_id, at = _binary(body, at)
    will = None
    if flags & 4:
        _, _, at = _properties(body, at)
        topic, at = _binary(body, at)
        payload, at = _binary(body, at)
        will = topic.decode(), payload
    return Connect(
        client_id.decode(), keepalive_s, numbers.get(0x11, 0), numbers.get(0x21, 65_535), will
    )


def decode_subscribe(body: bytes) -> tuple[int, str, int]:
    """Packet id, filter and QoS of a SUBSCRIBE to one filter."""
    _, _, at = _properties(body, 2)
    topic_filter, at = _binary(body, at)
    return int.from_bytes(body[:2], "big"), topic_filter.decode(), body[at] & 3


def _properties(body: bytes, at: int) -> tuple[dict[int, int], list[tuple[str, str]], int]:
    length, at = _variable(body, at)
    end = at + length
    numbers: dict[int, int] = {}
    user: list[tuple[str, str]] = []
    while at < end:
        kind, at = body[at], at + 1
        if kind == 0x26:
            name, at = _binary(body, at)
            value, at = _binary(body, at)
            user.append((name.decode(), value.decode()))
        elif kind in _TEXTS:
            _, at = _binary(body, at)
        else:
            width = 4 if kind in _FOUR_BYTES else 2 if kind in _TWO_BYTES else 1
            numbers[kind], at = int.from_bytes(body[at : at + width], "big"), at + width
    return numbers, user, end


def _variable(data: bytes, at: int) -> tuple[int, int]:
    length = shift = 0
    while True:
        byte, at = data[at], at + 1
        length |= (byte & 0x7F) << shift
        if byte < 0x80:
            return length, at
        shift += 7


def _length(length: int) -> bytes:
    out = b""
    while True:
        length, digit = divmod(length, 0x80)
        out += bytes((digit | (0x80 if length else 0),))
        if not length:
            return out


def _text(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(2, "big") + data


def _binary(body: bytes, at: int) -> tuple[bytes, int]:
    end = at + 2 + int.from_bytes(body[at : at + 2], "big")
    return body[at + 2 : end], end
