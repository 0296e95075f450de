from __future__ import annotations

import string

from geoweir.codec.key import batch_key, input_digest, result_key


def test_a_key_names_stream_id_time_and_digest() -> None:
    digest = input_digest("in/a", b"payload")

    assert len(digest) == 16
    assert result_key("bus", "7", 1_750_000_000.0, digest) == f"bus:7:1750000000:{digest}"
    assert result_key("bus", "7", 1.5, digest, 3) == f"bus:7:1.5:{digest}:3"
    assert result_key("bus", "a:b/é", None, digest) == f"bus:a%3Ab%2F%C3%A9:-:{digest}"


def test_a_digest_tells_topic_and_payload_apart() -> None:
    assert len({input_digest("a", b"b"), input_digest("ab", b""), input_digest("a", b"c")}) == 3


def test_a_key_is_short_plain_ascii_whatever_the_id_is() -> None:
    allowed = set(string.ascii_letters + string.digits + "_.@=~-%:")
    for ident in ("\0\n", "é" * 70_000, "\ud800", "", "[/]", "a" * 97):
        key = result_key("s" * 200, ident, 253_370_764_799.123456, "f" * 16, 999_999)
        assert len(key) <= 300
        assert set(key) <= allowed


def test_a_batch_key_changes_with_any_member() -> None:
    assert batch_key("s", ["a", "b"]) != batch_key("s", ["ab"]) != batch_key("s", ["b", "a"])
    assert batch_key("s", ["a", "b"]) == batch_key("s", iter(["a", "b"]))
