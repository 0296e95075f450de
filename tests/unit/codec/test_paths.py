from __future__ import annotations

import pytest

from geoweir.codec.paths import parse_path
from geoweir.errors import ConfigurationError

DOCUMENT = {"a": {"b": [10, {"c": 11}], "0": "zero"}, "n": None}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a.b.0", 10),
        ("a.b.1.c", 11),
        ("a.0", "zero"),
        ("a.b.2", None),
        ("a.b.x", None),
        ("a.b.-1", None),
        ("a.b.9999999999", None),
        ("a.b.²", None),
        ("a.b.0.c", None),
        ("n.x", None),
        ("none", None),
        ("{topic[0]}", "in"),
        ("{topic[2]}", "c/d"[:1]),
        ("{topic[7]}", None),
    ],
)
def test_a_path_is_followed_through_objects_lists_and_topic_levels(
    path: str, value: object
) -> None:
    assert parse_path(path).get(DOCUMENT, "in/b/c/d") == value


@pytest.mark.parametrize("text", ["", ".", "a..b", "a.", "{topic}", "{topic[x]}", "{id}", "a}"])
def test_what_is_no_path_is_a_configuration_error(text: str) -> None:
    with pytest.raises(ConfigurationError):
        parse_path(text)
