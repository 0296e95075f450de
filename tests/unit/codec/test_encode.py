from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import orjson
import pytest

from geoweir.codec.column import GeometryColumn
from geoweir.codec.encode import Encoded, make_encoder
from geoweir.codec.features import Features
from geoweir.codec.key import batch_key, input_digest
from geoweir.core.spec import Fields, StreamSpec, TopicSpec
from geoweir.core.work import MessageKind
from support.chunks import GOOD, chunk_of, decode, feature, stream

POINT = {"type": "Point", "coordinates": [1.5, 2]}


def encode(*payloads: bytes, spec: StreamSpec | None = None, **columns: object) -> Encoded:
    """Encodes what was decoded, with some columns replaced as steps would."""
    spec = spec or stream()
    features = decode(*payloads, spec=spec).features
    features = dataclasses.replace(features, **columns)  # type: ignore[arg-type]
    return make_encoder(spec).encode(features, chunk_of(*payloads))


def documents(encoded: Encoded) -> list[Any]:
    return [orjson.loads(message.payload) for message in encoded.messages]


def test_a_result_is_a_feature_with_the_contracts_members() -> None:
    payload = feature(POINT, ident="bus/7", speed=3)

    (message,) = encode(payload).messages

    key = f"s:bus%2F7:-:{input_digest('in/dev0/pos', payload)}"
    assert (message.input, message.kind, message.key) == (0, MessageKind.RESULT, key)
    assert message.topic == "geoweir/s/bus%2F7"
    assert orjson.loads(message.payload) == {
        "type": "Feature",
        "id": "bus/7",
        "geometry": POINT,
        "properties": {"speed": 3},
        "geoweir": {
            "stream": "s",
            "status": "valid",
            "received": "2025-06-15T15:06:40.000Z",
            "key": key,
        },
    }


def test_a_feature_in_error_goes_out_with_its_message_and_without_geometry() -> None:
    geometry = np.array([None], dtype=object)

    (document,) = documents(
        encode(
            feature(POINT),
            column=GeometryColumn(objects=geometry),
            errors=["no \ud800"],
            repaired=["ring"],
        )
    )

    assert document["geometry"] is None
    assert document["geoweir"] | {"key": "", "received": ""} == {
        "stream": "s", "status": "error", "message": "no ?", "repaired": "ring",
        "received": "", "key": "",
    }  # fmt: skip


def test_t12_an_id_beyond_64_bits_goes_out_byte_for_byte() -> None:
    (message,) = encode(GOOD.replace(b'"good"', b"18446744073709551617")).messages

    assert b'"id":18446744073709551617,' in message.payload
    assert message.topic == "geoweir/s/18446744073709551617"


def test_t12_long_integers_in_properties_go_out_exactly() -> None:
    payload = GOOD.replace(b'"properties":{}', b'"properties":{"n":-98765432109876543210}')

    (message,) = encode(payload).messages

    assert b'"n":-98765432109876543210' in message.payload


def test_numpy_values_of_users_steps_are_written_beside_long_integers() -> None:
    (message,) = encode(GOOD, properties=[{"n": 2**70, "f": np.float64(1.5)}]).messages

    assert b'{"n":1180591620717411303424,"f":1.5}' in message.payload


def nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("value", [nested(254), nested(100_000), object(), {(1, 2): 3}, "\ud800"])
def test_properties_that_are_no_json_make_an_error_of_that_feature_only(value: object) -> None:
    first, second = documents(encode(GOOD, GOOD, properties=[{"v": value}, {"v": 1}]))

    assert (first["properties"], first["geoweir"]["status"]) == (None, "error")
    assert "JSON" in first["geoweir"]["message"]
    assert (second["properties"], second["geoweir"]["status"]) == ({"v": 1}, "valid")


def test_coordinates_in_another_crs_carry_its_name() -> None:
    (document,) = documents(encode(GOOD, crs="EPSG:3857"))

    assert document["crs"] == {
        "type": "name",
        "properties": {"name": "urn:ogc:def:crs:EPSG::3857"},
    }


def test_filtered_features_have_no_message_and_their_siblings_keep_their_keys() -> None:
    payload = b'{"type":"FeatureCollection","features":[' + b",".join([GOOD] * 3) + b"]}"

    whole = encode(GOOD, payload)
    thinned = encode(GOOD, payload, filtered=[None, None, "where", None])

    keys = [message.key for message in whole.messages]
    assert [key.rpartition(":")[2] for key in keys[1:]] == ["0", "1", "2"]
    assert len(set(keys)) == 4
    assert [message.key for message in thinned.messages] == [keys[0], keys[1], keys[3]]
    assert [message.input for message in thinned.messages] == [0, 1, 1]


def test_the_same_input_has_the_same_key_and_payload_in_any_chunk() -> None:
    one, other = feature(POINT, ident=1), feature(POINT, ident=2)

    alone = encode(one).messages[0]
    together = encode(one, other).messages[0]

    assert (alone.key, alone.payload) == (together.key, together.payload)


def test_an_input_without_the_topic_level_is_rejected_with_all_its_features() -> None:
    spec = stream(publish=TopicSpec(topic="o/{topic[3]}/{id}"))

    encoded = encode(GOOD, spec=spec)

    assert encoded.messages == []
    assert (encoded.rejected[0].reason, encoded.rejected[0].id) == ("topic", "good")


def test_a_batch_is_one_collection_that_every_input_needs() -> None:
    spec = stream(publish=TopicSpec(topic="o/{stream}/{id}/{topic[9]}", batch="chunk"))
    singles = encode(GOOD, GOOD).messages

    (message,) = encode(GOOD, GOOD, spec=spec).messages

    assert (message.input, message.topic) == (-1, "o/s/batch/batch")
    assert orjson.loads(message.payload)["type"] == "FeatureCollection"
    assert orjson.loads(message.payload)["features"] == [orjson.loads(m.payload) for m in singles]
    assert message.key == batch_key("s", [m.key for m in singles])


def test_a_batch_of_which_everything_is_filtered_is_no_message() -> None:
    spec = stream(publish=TopicSpec(topic="o", batch="chunk"))

    assert encode(GOOD, spec=spec, filtered=["where"]).messages == []


def test_t15_hostile_ids_give_topics_that_cut_no_connection() -> None:
    hostile = ["a/b", "+", "#", "$SYS", "\0", "\x85", "\uffff", "x" * 65_535, "[/]", "=cmd"]
    payloads = [feature(POINT, ident=ident) for ident in hostile]

    topics = [message.topic for message in encode(*payloads).messages]

    assert len(set(topics)) == len(hostile)
    assert all(topic.count("/") == 2 and len(topic.encode()) <= 150 for topic in topics)
    assert not any(set(topic) & set("+#\0\x85\uffff") for topic in topics)


def test_an_empty_chunk_encodes_to_nothing() -> None:
    features: Features = decode(b"").features

    assert make_encoder(stream(fields=Fields())).encode(features, chunk_of(b"")).messages == []
