from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoweir.spatial.sources import split
from geoweir.spatial.sources.split import Collection, SplitError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(), JSON, max_size=3)


def blocks(text: bytes, size: int) -> list[bytes]:
    return [text[at : at + size] for at in range(0, len(text), size)]


@settings(deadline=None)  # what is asserted is no time
@given(
    features=st.lists(OBJECTS, max_size=5),
    before=OBJECTS,
    after=OBJECTS,
    size=st.integers(1, 40),
    indent=st.sampled_from([None, 0, 2]),
    is_ascii=st.booleans(),
)
def test_every_feature_comes_out_however_the_document_is_cut(
    features: list[Any],
    before: dict[str, Any],
    after: dict[str, Any],
    size: int,
    indent: int | None,
    is_ascii: bool,
) -> None:
    document = {"before": before, '"features": [': 1, "features": features, "after": after}
    text = json.dumps(document, indent=indent, ensure_ascii=is_ascii)
    found = Collection(blocks(text.encode("utf-8", "replace"), size))
    found.open()
    assert found.has_list
    again = [json.loads(one) for one in found.features()]
    assert again == json.loads(json.dumps(features).encode("utf-8", "replace"))
    frame = json.loads(found.head + b"[]" + found.tail)
    assert frame.keys() == document.keys()


@given(end=st.integers(0, 60), size=st.integers(1, 20))
def test_a_document_that_is_cut_off_is_never_taken_for_a_whole_one(end: int, size: int) -> None:
    text = b'{"features": [{"a": "]}\\"\\\\"}, {"b": [1, {"c": 2}]}], "x": 1}'
    found = Collection(blocks(text[:end], size))
    found.open()
    if end >= len(text):
        assert len(list(found.features())) == 2
    elif not found.has_list:
        assert found.head == text[:end]
    elif end < text.index(b'], "x"') + 1:
        with pytest.raises(SplitError):
            list(found.features())
    else:
        assert len(list(found.features())) == 2
        assert len(found.tail) < len(b', "x": 1}')


def test_a_feature_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split, "MOST_BYTES", 1000)
    endless = Collection([b'{"features": [{"a": "', *[b"x" * 100] * 11])
    endless.open()
    with pytest.raises(SplitError, match="feature 1 takes more than"):
        list(endless.features())
