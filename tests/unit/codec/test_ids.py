from __future__ import annotations

import orjson
import pytest

from geoweir.codec.ids import IdReader
from geoweir.core.spec import Fields, Limits
from support.chunks import GOOD, decode, feature, stream

POINT = b'"geometry":{"type":"Point","coordinates":[1,2]},"properties":{}'


def with_id(literal: bytes) -> bytes:
    return b'{"type":"Feature","id":' + literal + b"," + POINT + b"}"


@pytest.mark.parametrize(
    ("literal", "text"),
    [
        (b'"a b"', "a b"),
        (b'"\\u00e9"', "é"),
        (b"7", "7"),
        (b"0", "0"),
        (b"-0", "-0"),
        (b"1.0", "1.0"),
        (b"1e5", "1e5"),
        (b"1.50", "1.50"),
        (b"-9223372036854775809", "-9223372036854775809"),
        (b"18446744073709551615", "18446744073709551615"),
        (b"1" * 300, "1" * 300),
    ],
)
def test_an_id_is_its_literal_exactly_as_sent(literal: bytes, text: str) -> None:
    features = decode(with_id(literal)).features

    assert features.ids == [text]
    assert orjson.loads(features.id_literals[0]) == orjson.loads(literal)
    assert literal[:1] == b'"' or features.id_literals == [literal]


def test_t12_ids_beyond_64_bits_stay_two() -> None:
    payloads = [with_id(b"18446744073709551616"), with_id(b"18446744073709551617")]
    together = b'{"type":"FeatureCollection","features":[' + b",".join(payloads) + b"]}"

    features = decode(*payloads, together).features

    assert features.ids == ["18446744073709551616", "18446744073709551617"] * 2


def test_t12_every_float_id_of_every_collection_keeps_its_own_digits() -> None:
    def collection(*ids: bytes) -> bytes:
        members = b",".join(with_id(ident) for ident in ids)
        return b'{"type":"FeatureCollection","features":[' + members + b"]}"

    features = decode(collection(b"1.0", b"1.00"), with_id(b"-0"), collection(b"1e2")).features

    assert features.ids == ["1.0", "1.00", "-0", "1e2"]


def test_t12_of_repeated_members_the_last_one_counts() -> None:
    payload = b'{"id":1.5,"type":"Feature","id":2.50,' + POINT + b"}"

    assert decode(payload).features.ids == ["2.50"]


@pytest.mark.parametrize("literal", [b"null", b"true", b"{}", b"[]", b'""', b"[1]"])
def test_what_can_be_no_id_is_rejected(literal: bytes) -> None:
    decoded = decode(with_id(literal), GOOD)

    assert decoded.rejected[0].reason == "id"
    assert decoded.features.ids == ["good"]


@pytest.mark.parametrize(("length", "accepted"), [(65_535, True), (65_536, False)])
def test_an_id_may_have_as_many_bytes_as_mqtt_allows(
    length: int,
    accepted: bool,
) -> None:
    decoded = decode(with_id(b'"' + b"x" * length + b'"'))

    assert (not decoded.rejected) is accepted


def test_a_number_id_in_deep_json_is_read_exactly_or_rejected_as_depth() -> None:
    deep = b"[" * 1000 + b"]" * 1000
    payload = b'{"type":"Feature","id":1.50,"deep":' + deep + b"," + POINT + b"}"

    decoded = decode(payload)

    # How deep the exact reading goes is the interpreter's: less than 1,000 in 3.11, more in 3.13.
    reasons = [rejection.reason for rejection in decoded.rejected.values()]
    assert (decoded.features.ids, reasons) in [([], ["depth"]), (["1.50"], [])]


@pytest.mark.parametrize(
    ("path", "text"),
    [("properties.device.no", "n1"), ("properties.tags.1", "second"), ("{topic[1]}", "dev0")],
)
def test_an_id_is_read_at_its_path(path: str, text: str) -> None:
    payload = feature(None, device={"no": "n1"}, tags=["first", "second"])

    assert decode(payload, spec=stream(fields=Fields(id=path))).features.ids == [text]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("properties.none", "at properties.none"),
        ("properties.tags.9", "at properties.tags.9"),
        ("id.x", "at id.x"),
        ("{topic[9]}", "at topic level 9"),
    ],
)
def test_an_unknown_path_is_rejected_as_id_and_named(path: str, said: str) -> None:
    rejection = decode(feature(None, tags=[]), spec=stream(fields=Fields(id=path))).rejected[0]

    assert rejection.reason == "id"
    assert said in rejection.detail


def test_a_float_at_a_path_through_a_list_keeps_its_digits() -> None:
    payload = feature(None, tags=[0]).replace(b"[0]", b"[0, 1.250 ]")

    features = decode(payload, spec=stream(fields=Fields(id="properties.tags.1"))).features

    assert features.ids == ["1.250"]


def test_a_rejection_carries_the_id_that_could_be_read() -> None:
    decoded = decode(feature({"type": "Nonsense"}, ident=12), b"[]", b"{")

    assert [decoded.rejected[i].id for i in range(3)] == ["12", None, None]


def test_a_glance_gives_every_id_within_its_bounds() -> None:
    reader = IdReader(stream(limits=Limits(features=3)))
    many = b",".join(with_id(b"%d" % i) for i in range(9))

    assert reader.glance(with_id(b"1.50"), "in/x") == ["1.50"]
    assert reader.glance(b'{"type":"FeatureCollection","features":[' + many + b"]}", "in/x") == [
        "0", "1", "2",
    ]  # fmt: skip
    assert reader.glance(with_id(b'"a"') + b" " * 300_000, "in/x") == []


@pytest.mark.parametrize(
    "payload", [b"", b"\xff", b"[" * 200_000, b'{"id":"\\ud800"}', b'{"id":', b"null", b"{}"]
)
def test_a_glance_at_broken_bytes_gives_nothing_and_never_raises(payload: bytes) -> None:
    assert IdReader(stream()).glance(payload, "in/x") == []


def test_a_glance_at_any_payload_knows_an_id_from_the_topic() -> None:
    spec = stream(fields=Fields(id="{topic[1]}"))

    assert IdReader(spec).glance(b"\xff" * 1_000_000, "in/dev/x") == ["dev"]
    assert IdReader(spec).glance(b"", "in") == []


@pytest.mark.parametrize("ident", ["dev1", "DEV0", "dev0 ", "dev0/", ""])
def test_t33_an_id_that_is_not_the_topics_is_refused_and_the_topics_own_is_not(ident: str) -> None:
    spec = stream(id_must_match="{topic[1]}")  # of in/dev0/pos
    literal = orjson.dumps(ident)
    both = b'{"type":"FeatureCollection","features":[%s,%s]}' % (
        with_id(b'"dev0"'),
        with_id(literal),
    )

    for payload in (with_id(literal), both):
        rejected = decode(payload, spec=spec).rejected
        assert rejected[0].reason == ("identity" if ident else "id")
    assert decode(with_id(b'"dev0"'), spec=spec).features.ids == ["dev0"]
