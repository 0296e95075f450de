from __future__ import annotations

import orjson
import pytest

from geoweir.codec.decode import Decoded, make_decoder
from geoweir.core.spec import Fields, StreamSpec
from geoweir.core.work import ChunkWork
from support.chunks import stream

LOCATION = {"_type": "location", "lat": 48.2, "lon": 16.4, "tst": 1_750_000_000, "tid": "JJ"}
SPEC = stream(format="owntracks")


def decode(
    message: object, topic: str = "owntracks/jane/phone", spec: StreamSpec = SPEC
) -> Decoded:
    work = ChunkWork(0, [orjson.dumps(message)], [topic], [1_750_000_001.0])
    return make_decoder(spec).decode(work)


def test_a_location_is_a_point_named_by_its_topic() -> None:
    features = decode(LOCATION | {"alt": 170}).features

    assert list(features.geometry[0].coords) == [(16.4, 48.2, 170)]
    assert features.ids == ["jane/phone"]
    assert features.id_literals == [b'"jane/phone"']
    assert features.times == [1_750_000_000.0]
    assert features.properties[0]["tid"] == "JJ"


def test_a_prefixed_topic_and_a_configured_id_are_read_too() -> None:
    assert decode(LOCATION, "site/owntracks/jane/phone").features.ids == ["jane/phone"]
    by_tid = stream(format="owntracks", fields=Fields(id="tid"))
    assert decode(LOCATION, "any", by_tid).features.ids == ["JJ"]


@pytest.mark.parametrize("topic", ["owntracks/jane", "other/jane/phone", "owntracks//phone"])
def test_a_topic_that_names_no_device_is_rejected_as_id(topic: str) -> None:
    assert decode(LOCATION, topic).rejected[0].reason == "id"


@pytest.mark.parametrize("kind", ["transition", "waypoint", "lwt", None, 5])
def test_every_other_type_is_rejected_as_shape_by_name(kind: object) -> None:
    rejection = decode({"_type": kind}).rejected[0]

    assert (rejection.reason, rejection.id) == ("shape", "jane/phone")
    assert not isinstance(kind, str) or kind in rejection.detail


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"lat": None}, "shape"), ({"lat": 91}, "coordinate"), ({"tst": 1e12}, "time")],
)
def test_a_broken_location_is_rejected(change: dict[str, object], reason: str) -> None:
    assert decode(LOCATION | change).rejected[0].reason == reason
