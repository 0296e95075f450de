from __future__ import annotations

import orjson
import pytest

from geoweir.codec.decode import make_decoder
from geoweir.core.spec import Fields
from geoweir.errors import ConfigurationError
from support.chunks import decode, stream

SPEC = stream(format="json", fields=Fields(id="dev.id", time="t", x="pos.0", y="pos.1", z="alt"))


def document(**changes: object) -> bytes:
    return orjson.dumps({"dev": {"id": "a"}, "t": 1_750_000_000, "pos": [1.5, 2], "n": 1} | changes)


def test_a_document_becomes_a_point_with_the_whole_document_as_properties() -> None:
    features = decode(document(), document(alt=9), spec=SPEC).features

    assert [list(point.coords) for point in features.geometry] == [[(1.5, 2)], [(1.5, 2, 9)]]
    assert features.ids == ["a", "a"]
    assert features.times == [1_750_000_000.0] * 2
    assert features.properties[1] == orjson.loads(document(alt=9))


@pytest.mark.parametrize(("text", "x"), [("1.5", 1.5), ("-1e1", -10), ("+.5", 0.5), ("7.", 7)])
def test_numeric_texts_are_ordinates(text: str, x: float) -> None:
    assert decode(document(pos=[text, "2"]), spec=SPEC).features.geometry[0].x == x


@pytest.mark.parametrize(
    ("position", "reason"),
    [
        ([], "shape"),
        ([None, 2], "shape"),
        (None, "shape"),
        (["", 2], "geometry"),
        (["nan", 2], "geometry"),
        (["0x10", 2], "geometry"),
        (["1_0", 2], "geometry"),
        ([True, 2], "geometry"),
        ([[1], 2], "geometry"),
        (["1" * 65, 2], "geometry"),
        (["1e400", 2], "coordinate"),
        ([1e308, 2], "coordinate"),
    ],
)
def test_t11_what_is_no_position_is_rejected(position: object, reason: str) -> None:
    decoded = decode(document(pos=position), document(), spec=SPEC)

    assert {i: r.reason for i, r in decoded.rejected.items()} == {0: reason}
    assert decoded.rejected[0].id == "a"


def test_a_payload_that_is_no_object_is_rejected_as_shape() -> None:
    assert decode(b"[1,2]", spec=SPEC).rejected[0].reason == "shape"


def test_a_stream_without_x_or_y_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match=r"fields\.y"):
        make_decoder(stream(format="json", fields=Fields(id="i", x="x")))
