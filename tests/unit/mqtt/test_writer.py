from __future__ import annotations

from geoweir.mqtt.link import PACKET_ID_MAXIMUM
from geoweir.mqtt.reader import PacketReader
from geoweir.mqtt.writer import PacketWriter
from geoweir.ports import Outgoing, Refusal


def read(data: bytes, *, aliases: int = 0) -> list[tuple[int, str, bytes]]:
    reader = PacketReader(maximum_packet=1 << 20, topic_aliases=aliases)
    reader.feed(data)
    found = reader.read(1 << 20, 1 << 30).arrivals
    return list(zip(found.mids, found.addresses, found.payloads, strict=True))


def code(answer: int | Refusal) -> int:
    assert isinstance(answer, Refusal)
    return answer.code


def test_one_write_carries_what_can_be_sent_in_order() -> None:
    data, answers = PacketWriter().write(
        [Outgoing("a", b"1"), Outgoing("b/#", b"2"), Outgoing("c", b"3", 0), Outgoing("d", b"4")]
    )
    assert answers[0] == 1
    assert code(answers[1]) == 0x90
    assert answers[2:] == [0, 2]
    assert read(data) == [(1, "a", b"1"), (0, "c", b"3"), (2, "d", b"4")]


def test_the_brokers_limits_hold_before_anything_is_sent() -> None:
    writer = PacketWriter(packet_limit=100, retains=False)
    data, answers = writer.write(
        [Outgoing("a", bytes(99)), Outgoing("a", b"", retain=True), Outgoing("a", b"fits")]
    )
    assert [code(answers[0]), code(answers[1])] == [0x95, 0x9A]
    assert [payload for _, _, payload in read(data)] == [b"fits"]


def test_the_first_topics_get_aliases_and_the_others_none() -> None:
    writer = PacketWriter(alias_maximum=2)
    first, _ = writer.write([Outgoing(topic, b"") for topic in ("one", "two", "three", "one")])
    second, _ = writer.write([Outgoing(topic, b"") for topic in ("two", "three")])
    topics = [topic for _, topic, _ in read(first + second, aliases=2)]
    assert topics == ["one", "two", "three", "one", "two", "three"]
    assert first.count(b"one") == 1
    assert b"two" not in second
    assert b"three" in second


def test_a_refused_topic_takes_no_alias() -> None:
    writer = PacketWriter(packet_limit=50, alias_maximum=1)
    writer.write([Outgoing("large", bytes(60))])
    data, _ = writer.write([Outgoing("small", b""), Outgoing("small", b"")])
    assert data.count(b"small") == 1


def test_packet_ids_go_round_and_pass_over_those_under_way() -> None:
    writer = PacketWriter()
    first = [writer.next_mid() for _ in range(PACKET_ID_MAXIMUM)]
    assert first == list(range(1, PACKET_ID_MAXIMUM + 1))
    writer.done([2, 70])
    assert [writer.next_mid(), writer.next_mid()] == [2, 70]
