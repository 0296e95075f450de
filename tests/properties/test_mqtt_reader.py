from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from geoweir.mqtt.packets import publish_properties
from geoweir.mqtt.reader import MalformedError, PacketReader
from geoweir.ports import Outgoing
from support.publishes import publish

EVERYTHING = (1 << 30, 1 << 30)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
TOPICS = TEXTS.map(lambda text: "t" + text)
HEADERS = st.lists(st.tuples(TEXTS, TEXTS), max_size=5).map(tuple)
MESSAGES = st.tuples(TOPICS, st.binary(max_size=300), st.integers(0, 1), HEADERS)


def packet(message: tuple[str, bytes, int, tuple[tuple[str, str], ...]], mid: int) -> bytes:
    topic, payload, qos, headers = message
    properties = publish_properties("text/plain" if headers else None, headers, None)
    return publish(Outgoing(topic, payload, qos), mid, topic.encode(), properties)


@given(st.lists(MESSAGES, max_size=20), st.data())
def test_what_is_written_is_read_wherever_the_stream_is_cut(
    messages: list[tuple[str, bytes, int, tuple[tuple[str, str], ...]]], data: st.DataObject
) -> None:
    stream = b"".join(packet(message, mid) for mid, message in enumerate(messages, 1))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    reader = PacketReader(maximum_packet=1 << 20, topic_aliases=0)
    seen: list[tuple[str, bytes, int, object]] = []
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        reader.feed(stream[start:stop])
        room = data.draw(st.integers(1, 5))
        while True:
            found = reader.read(room, 1 << 30)
            a = found.arrivals
            seen += zip(a.addresses, a.payloads, a.mids, a.headers, strict=True)
            if not found.is_full:
                break
    assert seen == [
        (topic, payload, mid * qos, headers)
        for mid, (topic, payload, qos, headers) in enumerate(messages, 1)
    ]


@given(st.lists(st.binary(max_size=200), max_size=5), st.lists(MESSAGES, max_size=3), st.data())
def test_hostile_bytes_are_read_or_refused(
    junk: list[bytes],
    messages: list[tuple[str, bytes, int, tuple[tuple[str, str], ...]]],
    data: st.DataObject,
) -> None:
    # Sound packets with some bytes changed reach further than noise does.
    stream = bytearray(b"".join(packet(message, 1) for message in messages))
    for place in data.draw(st.lists(st.integers(0, max(0, len(stream) - 1)), max_size=4)):
        if stream:
            stream[place] = data.draw(st.integers(0, 255))
    reader = PacketReader(maximum_packet=1000, topic_aliases=2)
    try:
        for piece in (bytes(stream), *junk):
            reader.feed(piece)
            found = reader.read(*EVERYTHING)
            assert found.arrivals.size == sum(map(len, found.arrivals.payloads))
            columns = found.arrivals
            assert len({len(columns.mids), len(columns.flags), len(columns.headers)}) == 1
    except MalformedError:
        pass
