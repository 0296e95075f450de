"""Sequence numbers are read lightly, and what has none has none."""

from __future__ import annotations

import json

import pytest

from geoweir.codec.numbered import Numbered, SequenceReader
from geoweir.core.spec import Fields, StreamSpec


def reader(path: str = "properties.seq", ident: str | None = None) -> SequenceReader:
    fields = Fields(id=ident, sequence=path)
    return SequenceReader(StreamSpec(name="s", subscribe=("in/#",), fields=fields))


def feature(number: object, ident: object = "a") -> bytes:
    return json.dumps({"type": "Feature", "id": ident, "properties": {"seq": number}}).encode()


@pytest.mark.parametrize(("given", "read"), [(0, 0), (7, 7), ("12", 12), (2**63 - 1, 2**63 - 1)])
def test_whole_numbers_are_read(given: object, read: int) -> None:
    assert reader().read(feature(given), "in/1") == Numbered("a", read)


@pytest.mark.parametrize(
    "given", [None, -1, 2**63, 10**30, 1.5, True, "x", "-1", "9" * 5000, "٣", [], {}]
)
def test_anything_else_is_none(given: object) -> None:
    assert reader().read(feature(given), "in/1") is None


@pytest.mark.parametrize("ident", [None, "", "x" * 100_000, [], True])
def test_without_a_sound_id_there_is_none(ident: object) -> None:
    assert reader().read(feature(1, ident), "in/1") is None


@pytest.mark.parametrize("payload", [b"", b"\xff", b"[]", b"[" * 100_000, b'{"properties":1}'])
def test_hostile_bytes_are_none(payload: bytes) -> None:
    assert reader().read(payload, "in/1") is None


def test_id_and_number_may_stand_in_the_topic() -> None:
    found = reader("{topic[2]}", "{topic[1]}").read(b"{}", "in/truck/17")
    assert found == Numbered("truck", 17)


def test_t33_a_forged_id_has_no_number() -> None:
    fields = Fields(sequence="properties.seq")
    spec = StreamSpec(name="s", subscribe=("in/#",), fields=fields, id_must_match="{topic[1]}")

    assert SequenceReader(spec).read(feature(7), "in/a") == Numbered("a", 7)
    assert SequenceReader(spec).read(feature(7), "in/b") is None
