from __future__ import annotations

import pytest

from geoweir.codec.topics import TopicTemplate
from geoweir.errors import ConfigurationError, SenderError


def test_a_template_is_filled_with_stream_id_and_topic_levels() -> None:
    template = TopicTemplate.parse("out/{topic[1]}/{stream}-x/{id}")

    assert template.render("bus", "7", "in/depot/7") == "out/depot/bus-x/7"
    assert template.bind("bus").render("ignored", "7", "in/depot/7") == "out/depot/bus-x/7"
    assert template.render_batch("bus") == "out/batch/bus-x/batch"


@pytest.mark.parametrize(
    ("ident", "level"),
    [
        ("bus-7", "bus-7"),
        ("é", "é"),
        ("100%", "100%25"),
        ("a/b+c#d", "a%2Fb%2Bc%23d"),
        ("$SYS", "%24SYS"),
        ("a$", "a$"),
        ("\0", "%00"),
        ("\n\x7f\x85", "%0A%7F%C2%85"),
        ("\uffff\ufffe\ufdd0\U0001ffff", "%EF%BF%BF%EF%BF%BE%EF%B7%90%F0%9F%BF%BF"),
        ("\ud800", "%ED%A0%80"),
        ("", "%-"),
        ("[/]", "[%2F]"),
    ],
)
def test_t15_values_are_percent_encoded(ident: str, level: str) -> None:
    assert TopicTemplate.parse("o/{id}").render("s", ident, "in") == f"o/{level}"


def test_t15_long_ids_are_cut_to_128_bytes_and_stay_two() -> None:
    template = TopicTemplate.parse("{id}")
    one, two = (template.render("s", "é" * 30_000 + end, "in") for end in "ab")

    assert one != two
    assert len(one.encode()) <= 128
    assert one.startswith("é" * 40)


def test_t15_an_empty_level_of_the_inputs_topic_is_not_an_empty_level_of_ours() -> None:
    assert TopicTemplate.parse("o/{topic[1]}/x").render("s", "i", "in//y") == "o/%-/x"


def test_a_level_that_the_inputs_topic_does_not_have_is_the_senders_fault() -> None:
    with pytest.raises(SenderError) as caught:
        TopicTemplate.parse("o/{topic[3]}").render("s", "i", "a/b/c")

    assert caught.value.reason == "topic"


@pytest.mark.parametrize(
    "text",
    ["", "o/+", "o/#", "o/{ids}", "o/{topic}", "o/{topic[x]}", "o/{", "o/}", "o/\0", "o/{{id}}",
     "a/" * 100 + "a", "x" * 65_536, "x" * 65_500 + "{id}"],
)  # fmt: skip
def test_a_template_that_can_never_give_a_topic_is_a_configuration_error(text: str) -> None:
    with pytest.raises(ConfigurationError):
        TopicTemplate.parse(text)
