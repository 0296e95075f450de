"""Our packets, read by another's codec (paho's), and by the letter of the standard."""

from __future__ import annotations

from typing import Any

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from geoweir.mqtt import packets
from geoweir.ports import Outgoing
from support.publishes import publish


def unpacked(packed: bytes, kind: int = PacketTypes.PUBLISH) -> Any:
    found = Properties(kind)  # type: ignore[no-untyped-call]
    found.unpack(packets.variable_length(len(packed)) + packed)  # type: ignore[no-untyped-call]
    return found


def test_the_properties_of_a_publish_are_what_another_codec_reads() -> None:
    packed = packets.publish_properties("text/plain", (("a", "1"), ("ü", "")), "the key", 7)
    found = unpacked(packed)
    assert found.ContentType == "text/plain"
    assert found.UserProperty == [("geoweir-key", "the key"), ("a", "1"), ("ü", "")]
    assert found.TopicAlias == 7


def test_a_publish_is_laid_out_as_the_standard_has_it() -> None:
    message = Outgoing("a/b", b"hello", qos=1, retain=True)
    packet = publish(message, 0x0102, b"a/b", b"\x01\x00")
    assert packet == b"\x33\x0f\x00\x03a/b\x01\x02\x02\x01\x00hello"
    packet = publish(Outgoing("a/b", b"", qos=0), 0, b"a/b", b"")
    assert packet == b"\x30\x06\x00\x03a/b\x00"


@pytest.mark.parametrize(
    ("length", "encoded"),
    [
        (0, "00"),
        (127, "7f"),
        (128, "8001"),
        (16_383, "ff7f"),
        (16_384, "808001"),
        (2_097_151, "ffff7f"),
        (2_097_152, "80808001"),
        (268_435_455, "ffffff7f"),
    ],
)
def test_lengths_are_those_of_the_standards_table(length: int, encoded: str) -> None:
    assert packets.variable_length(length).hex() == encoded


def test_a_packet_longer_than_mqtt_has_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="268435456 bytes"):
        packets.variable_length(268_435_456)


def test_acknowledgements_are_four_bytes_each() -> None:
    assert packets.pubacks([1, 0xFFFF, 258]).hex() == "400200014002ffff40020102"


@pytest.mark.parametrize("topic", ["", "a/+", "#", "a\0", "x" * 65_536, "\ud800"])
def test_what_is_no_topic_to_publish_to_is_a_value_error(topic: str) -> None:
    with pytest.raises(ValueError, match=r"topic|surrogates"):
        packets.topic_bytes(topic)


def test_a_property_of_more_than_65535_bytes_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="65536 bytes"):
        packets.publish_properties(None, (("a", "x" * 65_536),), None)


def test_connect_says_what_the_session_is() -> None:
    will = Outgoing("status", b"off", 1, True, "text/plain")
    packet = packets.connect(
        packets.Session(
            client_id="me",
            keepalive_s=30,
            session_expiry_s=3600,
            maximum_packet=1 << 24,
            topic_aliases=64,
            receive_maximum=1000,
            username="u",
            password="p",  # noqa: S106 - for nobody
            will=will,
        )
    )
    assert packet[:2] == bytes((0x10, len(packet) - 2))
    assert packet[2:9] == b"\x00\x04MQTT\x05"
    # User name, password, will retained, will at QoS 1, a will; and Clean Start is 0.
    assert packet[9] == 0b1110_1100
    assert packet[10:12] == b"\x00\x1e"
    found = unpacked(packet[13 : 13 + packet[12]], PacketTypes.CONNECT)
    assert found.SessionExpiryInterval == 3600
    assert found.MaximumPacketSize == 1 << 24
    assert found.TopicAliasMaximum == 64
    assert found.ReceiveMaximum == 1000
    rest = packet[13 + packet[12] :]
    assert (
        rest == b"\x00\x02me\x0d\x03\x00\x0atext/plain\x00\x06status\x00\x03off\x00\x01u\x00\x01p"
    )


def test_subscribe_asks_for_retained_messages_of_new_subscriptions_only() -> None:
    assert packets.subscribe(5, "a/#", 1) == b"\x82\x09\x00\x05\x00\x00\x03a/#\x11"
