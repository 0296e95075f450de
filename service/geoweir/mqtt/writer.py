"""Publishes become packets, for one write: packet ids, topic aliases, the limits of the broker.

No socket and no clock; one writer for each connection, since ids and aliases are the connection's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from geoweir.mqtt import packets
from geoweir.mqtt.link import PACKET_ID_MAXIMUM
from geoweir.mqtt.reasons import reason_text
from geoweir.ports import Outgoing, Refusal

__all__ = ["PACKET_LIMIT", "PacketWriter"]

#: Bytes of the largest packet that MQTT has.
PACKET_LIMIT: Final = 268_435_455

_RETAIN_REFUSED: Final = 0x9A
_TOPIC_INVALID: Final = 0x90
_PACKET_TOO_LARGE: Final = 0x95
#: Room for the fixed header and the lengths of a PUBLISH beside topic, properties and payload.
_OVERHEAD: Final = 16


class PacketWriter:
    """Writes the publishes of one connection.

    Args:
        packet_limit: bytes of a packet that the broker takes.
        retains: whether it keeps retained messages.
        alias_maximum: how many topic aliases it takes; the first topics get them.
    """

    def __init__(
        self, *, packet_limit: int = PACKET_LIMIT, retains: bool = True, alias_maximum: int = 0
    ) -> None:
        self._packet_limit = packet_limit
        self._retains = retains
        self._alias_maximum = alias_maximum
        self._aliases: dict[str, int] = {}
        self._mid = 0  # the packet id that was given out last
        self._under_way: set[int] = set()

    def write(self, messages: Sequence[Outgoing]) -> tuple[bytes, list[int | Refusal]]:
        """The packets for one write; for each message its packet id (0 at QoS 0), or why not."""
        out: list[bytes] = []
        answers = [self._encode(message, out) for message in messages]
        return b"".join(out), answers

    def next_mid(self) -> int:
        """A packet id that nothing under way has."""
        mid = self._mid
        while True:
            mid = mid + 1 if mid < PACKET_ID_MAXIMUM else 1
            if mid not in self._under_way:
                break
        self._mid = mid
        self._under_way.add(mid)
        return mid

    def done(self, mids: Iterable[int]) -> None:
        """The broker answered: these packet ids are free again."""
        self._under_way.difference_update(mids)

    def _encode(self, message: Outgoing, out: list[bytes]) -> int | Refusal:
        """Appends the packet; its packet id, or why it can't be sent."""
        alias, is_known = self._alias(message.topic) if self._alias_maximum else (0, False)
        try:
            topic = packets.topic_bytes(message.topic)
            properties = packets.publish_properties(
                message.content_type, message.headers, message.key, alias
            )
            size = len(topic) + len(properties) + len(message.payload) + _OVERHEAD
            if size > self._packet_limit:
                text = f"{size} bytes, over the broker's limit of {self._packet_limit}"
                return Refusal(_PACKET_TOO_LARGE, text)
            if message.retain and not self._retains:
                return Refusal(_RETAIN_REFUSED, reason_text(_RETAIN_REFUSED))
            mid = self.next_mid() if message.qos else 0
            packets.publish(out, message, mid, b"" if is_known else topic, properties)
        except ValueError as error:
            return Refusal(_TOPIC_INVALID, str(error))
        if alias and not is_known:
            self._aliases[message.topic] = alias
        return mid

    def _alias(self, topic: str) -> tuple[int, bool]:
        """The topic's alias (0 for none), and whether the broker has been told it."""
        known = self._aliases.get(topic)
        if known is not None:
            return known, True
        free = len(self._aliases) + 1
        return (free if free <= self._alias_maximum else 0), False
