"""A PUBLISH in one piece."""

from __future__ import annotations

from geoweir.mqtt import packets
from geoweir.ports import Outgoing

__all__ = ["publish"]


def publish(message: Outgoing, packet_id: int, topic: bytes, properties: bytes) -> bytes:
    """The packet."""
    pieces: list[bytes] = []
    packets.publish(pieces, message, packet_id, topic, properties)
    return b"".join(pieces)
