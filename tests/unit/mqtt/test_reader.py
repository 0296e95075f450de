from __future__ import annotations

from collections.abc import Callable

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from geoweir.core.lane import DURABLE, REPEATED, RETAINED
from geoweir.mqtt.packets import pubacks, publish_properties, variable_length
from geoweir.mqtt.reader import MalformedError, Packet, PacketReader, Read, read_properties
from geoweir.ports import Outgoing
from support.publishes import publish

EVERYTHING = (1 << 30, 1 << 30)


def reader(*, aliases: int = 2) -> PacketReader:
    return PacketReader(maximum_packet=1 << 20, topic_aliases=aliases)


def read(data: bytes, *, aliases: int = 2) -> Read:
    made = reader(aliases=aliases)
    made.feed(data)
    return made.read(*EVERYTHING)


def message(payload: bytes, *, mid: int = 1, topic: str = "t", alias: int = 0) -> bytes:
    properties = publish_properties(None, (), None, alias)
    return publish(Outgoing(topic, payload), mid, topic.encode(), properties)


def test_a_read_becomes_columns() -> None:
    data = b"".join(
        (
            publish(Outgoing("a/b", b"1", qos=1), 7, b"a/b", b""),
            publish(Outgoing("c", b"", qos=0, retain=True), 0, b"c", b""),
            bytes((0x3A,)) + publish(Outgoing("d", b"3", qos=1), 9, b"d", b"")[1:],
        )
    )
    found = read(data).arrivals
    assert found.mids == [7, 0, 9]
    assert found.payloads == [b"1", b"", b"3"]
    assert found.addresses == ["a/b", "c", "d"]
    assert list(found.flags) == [DURABLE, RETAINED, DURABLE | REPEATED]
    assert found.size == 2


def test_user_properties_are_passed_on_and_all_others_passed_over() -> None:
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.PayloadFormatIndicator = 1
    properties.MessageExpiryInterval = 60
    properties.ContentType = "text/plain"
    properties.ResponseTopic = "r"
    properties.CorrelationData = b"\x00\x01"
    properties.SubscriptionIdentifier = 300
    properties.UserProperty = [("traceparent", "00-1"), ("a", "b")]
    packed = properties.pack()  # type: ignore[no-untyped-call]
    body = b"\x00\x01t" + packed + b"payload"
    found = read(b"\x30" + variable_length(len(body)) + body).arrivals
    assert found.payloads == [b"payload"]
    assert found.headers == [(("traceparent", "00-1"), ("a", "b"))]


def test_user_properties_have_bounds() -> None:
    many = tuple((f"n{n}", "v") for n in range(100))
    packet = publish(Outgoing("t", b""), 1, b"t", publish_properties(None, many, None))
    assert read(packet).arrivals.headers == [many[:32]]
    large = (("a", "x" * 4000), ("b", "x" * 4000))
    packet = publish(Outgoing("t", b""), 1, b"t", publish_properties(None, large, None))
    assert read(packet).arrivals.headers == [large[:1]]


def test_an_alias_stands_for_the_topic_that_it_was_given_with() -> None:
    data = message(b"1", topic="a", alias=1) + message(b"2", topic="", alias=1)
    data += message(b"3", topic="b", alias=1) + message(b"4", topic="", alias=1)
    assert read(data).arrivals.addresses == ["a", "a", "b", "b"]


def test_reading_stops_where_there_is_no_room_and_goes_on_from_there() -> None:
    made = reader()
    made.feed(b"".join(message(str(n).encode(), mid=n + 1) for n in range(10)))
    first = made.read(3, 1 << 30)
    assert (first.arrivals.mids, first.is_full) == ([1, 2, 3], True)
    by_size = made.read(100, 10)
    assert (by_size.arrivals.mids, by_size.is_full) == ([4, 5], True)
    assert (made.read(0, 1).arrivals.mids, made.read(0, 1).is_full) == ([], True)
    rest = made.read(*EVERYTHING)
    assert (rest.arrivals.mids, rest.is_full) == ([6, 7, 8, 9, 10], False)
    assert made.waiting_bytes == 0


def test_what_is_not_whole_waits() -> None:
    made, data = reader(), message(bytes(300))
    for at in range(len(data)):
        made.feed(data[at : at + 1])
        found = made.read(*EVERYTHING)
        assert len(found.arrivals) == (at == len(data) - 1)


def test_answers_come_with_what_the_broker_refused() -> None:
    refused = b"\x40\x03\x00\x05\x87"
    explained = b"\x40\x0b\x00\x06\x97\x07\x1f\x00\x04full"
    no_subscriber = b"\x40\x03\x00\x07\x10"
    found = read(pubacks([1, 2]) + refused + explained + no_subscriber)
    assert found.acknowledged == [1, 2, 5, 6, 7]
    assert {mid: (r.code, r.text) for mid, r in found.refused.items()} == {
        5: (0x87, "not authorized (0x87)"),
        6: (0x97, 'quota exceeded (0x97): "full"'),
    }


def test_other_packets_are_handed_over_as_they_are() -> None:
    assert read(b"\xd0\x00\x90\x04\x00\x01\x00\x01").others == [
        Packet(13, b""),
        Packet(9, b"\x00\x01\x00\x01"),
    ]


def _cut(data: bytes) -> Callable[[], object]:
    return lambda: read(data)


@pytest.mark.parametrize(
    "broken",
    [
        _cut(b"\x34" + message(b"1")[1:]),  # QoS 2
        _cut(b"\x36" + message(b"1")[1:]),  # QoS 3
        _cut(message(b"1", mid=0)),
        _cut(message(b"1", topic="")),
        _cut(message(b"1", topic="", alias=1)),  # an alias without a topic
        _cut(message(b"1", topic="a", alias=3)),  # over our maximum
        _cut(b"\x30\xff\xff\xff\xff\x01"),  # a length of five bytes
        _cut(b"\x30\x81\x80\x80\x01"),  # larger than we said
        _cut(b"\x30\x02\x00\x09"),  # a topic beyond its packet
        _cut(b"\x30\x05\x00\x01t\x09x"),  # properties beyond their packet
        _cut(b"\x30\x05\x00\x01t\x01\xffx"),  # a property that MQTT does not have
        _cut(b"\x40\x01\x00\x00\x00"),  # half a packet id
        _cut(b"\x40\x00"),
        lambda: read_properties(b"\x26\x00\x09a"),
        lambda: read_properties(b"\x11\x00"),
        lambda: read_properties(b"\x0b\xff\xff\xff\xff\xff"),
    ],
)
def test_what_a_broker_must_not_send_ends_the_connection(broken: Callable[[], object]) -> None:
    with pytest.raises(MalformedError):
        broken()


def test_a_topic_that_is_no_utf_8_does_not_end_the_connection() -> None:
    packet = publish(Outgoing("t", b"1"), 1, b"t\xff", b"")
    assert read(packet).arrivals.addresses == ["t\\xff"]
