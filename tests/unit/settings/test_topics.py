import pytest

from geoweir.settings.topics import (
    address_filter,
    can_match,
    filter_problem,
    guaranteed_levels,
    template_problem,
    topic_levels,
)


@pytest.mark.parametrize(
    "text", ["a", "a/b", "+", "#", "a/+/b", "a/#", "/a", "a//b", "$share/g/a/+", "$SYS/#", "+/+"]
)
def test_a_valid_filter_has_no_problem(text: str) -> None:
    assert filter_problem(text) is None


@pytest.mark.parametrize(
    "text",
    ["", "a+", "a/b+/c", "a/#/b", "a#", "#/a", "$share/g", "$share//a", "$share/g/", "$share/+/a",
     "a\0b", "a\x7f", "x" * 65_536, "a/" * 200],
)  # fmt: skip
def test_an_invalid_filter_says_why(text: str) -> None:
    assert filter_problem(text)


@pytest.mark.parametrize("text", ["a", "geoweir/{stream}/{id}", "a/{topic[1]}", "x-{id}", "$aws/x"])
def test_a_valid_template_has_no_problem(text: str) -> None:
    assert template_problem(text) is None


@pytest.mark.parametrize(
    "text", ["", "a/+", "a/#", "a/{foo}", "a/{", "a/}", "{topic[x]}", "$share/g/a", "a\0", "a\nb"]
)
def test_an_invalid_template_says_why(text: str) -> None:
    assert template_problem(text)


@pytest.mark.parametrize(
    ("address", "template", "matches"),
    [
        ("ais/+/position", "ais/{id}/position", True),
        ("ais/+/position", "ais/{id}/result", False),
        ("ais/+", "ais/{id}/position", False),
        ("ais/#", "ais", True),
        ("ais/#", "ais/{id}/x/y", True),
        ("#", "anything/{id}", True),
        ("#", "$aws/{id}", False),
        ("+/x", "$aws/x", False),
        ("$aws/#", "$aws/{id}", True),
        ("+/+", "geoweir/{id}", True),
        ("geoweir/s/bus-7", "geoweir/{stream}/{id}", True),
        ("geoweir/t/bus-7", "geoweir/{stream}/{id}", False),
        ("a/pre-1", "a/pre-{id}", True),
        ("a/other", "a/pre-{id}", False),
        ("a/pre-", "a/pre-{id}", False),
        ("a/1-x-2", "a/{topic[0]}-x-{id}", True),
        ("a/1-2", "a/{topic[0]}-x-{id}", False),
        ("a/-x-2", "a/{topic[0]}-x-{id}", False),
        ("a/b", "a/b/c", False),
        ("a/b/c", "a/b", False),
    ],
)
def test_a_loop_is_found_where_a_topic_could_match(
    address: str, template: str, *, matches: bool
) -> None:
    assert can_match(address, template, "s") is matches


def test_a_share_is_no_part_of_the_address() -> None:
    assert address_filter("$share/group/a/+") == "a/+"
    assert address_filter("$SYS/a/b") == "$SYS/a/b"


def test_a_final_hash_guarantees_no_level() -> None:
    assert [guaranteed_levels(text) for text in ("a/+/b", "a/#", "#")] == [3, 1, 0]


def test_the_topic_levels_of_a_template_are_found() -> None:
    assert topic_levels("x/{topic[1]}/{id}-{topic[12]}") == [1, 12]
