"""The streams' inputs in turn, by their shares."""

from __future__ import annotations

from collections import Counter

from geoweir.sizing.mix import Mix
from geoweir.sizing.sources import Source
from geoweir.sizing.template import Template


def source(name: str, inputs: int, share: int = 1, qos: int = 1) -> Source:
    templates = [Template(f"{name}/{n}", b"x" * 10, copies=2) for n in range(inputs)]
    return Source(name, qos, templates, "", share)


def test_streams_take_turns_and_begin_again_at_their_end() -> None:
    mix = Mix([source("a", 2), source("b", 3, qos=0)])
    messages, arrivals = mix.take(8, 0.0)
    by_stream = {name: [m.topic for m in messages if m.topic[0] == name] for name in "ab"}
    assert by_stream == {"a": ["a/0", "a/1", "a/0", "a/1"], "b": ["b/0", "b/1", "b/2", "b/0"]}
    assert arrivals == 16
    assert {message.qos for message in messages} == {0, 1}


def test_a_share_is_kept_and_spread() -> None:
    messages, _ = Mix([source("a", 5, share=3), source("b", 5)]).take(400, 0.0)
    names = "".join(message.topic[0] for message in messages)
    assert Counter(names) == {"a": 300, "b": 100}
    assert "bb" not in names


def test_the_mean_size_counts_shares() -> None:
    large = Source("b", 1, [Template("b", b"x" * 100)], "", 1)
    assert Mix([source("a", 5, share=2), large]).mean_bytes == 40
