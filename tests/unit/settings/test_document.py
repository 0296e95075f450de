from collections.abc import Mapping

import pytest

from geoweir.settings.document import MAX_BYTES, Document, parse
from geoweir.settings.faults import MOST_FAULTS


def read(text: str, environ: Mapping[str, str] | None = None) -> Document:
    return parse(text.encode(), "gw.yaml", environ or {})


def places(document: Document) -> list[tuple[int, int, str]]:
    return [(fault.line, fault.column, fault.code) for fault in document.faults]


def test_every_key_and_item_has_its_place() -> None:
    document = read("a:\n  b: [x, y]\n  c: {d: 1}\n")
    marks = {path: (mark.line, mark.column) for path, mark in document.marks.items()}
    assert document.data == {"a": {"b": ["x", "y"], "c": {"d": 1}}}
    assert marks[("a", "b")] == (2, 3)
    assert marks[("a", "b", 1)] == (2, 10)
    assert marks[("a", "c", "d")] == (3, 7)


def test_what_is_not_in_the_file_has_the_place_of_its_section() -> None:
    document = read("x: 1\na:\n  b: 2\n")
    assert document.mark(("a", "c", "d")).line == 2


def test_keys_are_always_text() -> None:
    assert read("on: 1\n012: 2\nnull: 3\n").data == {"on": 1, "012": 2, "null": 3}


def test_quoted_scalars_are_text() -> None:
    assert read("a: \"1\"\nb: 'true'\nc: |\n  1\n").data == {"a": "1", "b": "true", "c": "1\n"}


def test_a_lone_plain_variable_is_resolved_and_any_other_stays_text() -> None:
    document = read('a: ${N}\nb: "${N}"\nc: x${N}\nd: ${T}\n', {"N": "12", "T": "{x: [1]}"})
    assert document.data == {"a": 12, "b": "12", "c": "x12", "d": "{x: [1]}"}


def test_a_value_of_a_variable_can_not_become_yaml() -> None:
    assert read("a: ${V}\n", {"V": "1\nb: 2"}).data == {"a": "1\nb: 2"}


def test_a_quotation_shows_the_variable_and_not_its_value() -> None:
    document = read("a: x/${V}\n", {"V": "canary"})
    assert document.quoted(("a",)) == '"x/${V}"'


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: 1\nb: 2\na: 3\n", (3, 1, "repeated-key")),
        ("a: &x 1\n", (1, 4, "alias")),
        ("a: *x\n", (1, 4, "alias")),
        ("&x a: 1\n", (1, 1, "alias")),
        ("a: !!python/object 1\n", (1, 4, "tag")),
        ("a:\n\tb: 1\n", (2, 1, "yaml-syntax")),
        ("a: b: c\n", (1, 5, "yaml-syntax")),
        ("a: [1\nb: 2\n", (2, 2, "yaml-syntax")),
        ('a: "x\n', (1, 4, "yaml-syntax")),
        ('a: "\\q"\n', (1, 6, "yaml-syntax")),
        ("a: 1\nb: \x01\n", (2, 4, "yaml-syntax")),
        ("a: @x\n", (1, 4, "yaml-syntax")),
        ("", (1, 1, "empty-file")),
        ("# nothing\n", (1, 1, "empty-file")),
        ("- a\n", (1, 1, "not-a-mapping")),
        ("text\n", (1, 1, "not-a-mapping")),
        ("a: 1\n---\nb: 2\n", (2, 1, "second-document")),
        ("? [a]\n: 1\n", (1, 3, "key-not-text")),
        ("a: ${MISSING}\n", (1, 4, "missing-variable")),
        ("a: ${\n", (1, 4, "bad-variable")),
        ("a: " + "[" * 5000, (1, 35, "too-deep")),
        ("a: " + "{a: " * 5000, (1, 128, "too-deep")),
    ],
)
def test_t30_a_fault_of_the_text_has_its_place(text: str, place: tuple[int, int, str]) -> None:
    assert places(read(text)) == [place]


def test_t30_a_repeated_key_names_the_first_line_and_the_first_value_stays() -> None:
    document = read("a: 1\nb: 2\na: {c: *x}\n")
    assert document.data == {"a": 1, "b": 2}
    assert [fault.message for fault in document.faults] == [
        "this key stands here a second time; the first is in line 1."
    ]


def test_what_is_not_utf8_is_a_fault_with_its_place() -> None:
    document = parse(b"a: 1\nb: x\xff\n", "gw.yaml", {})
    assert places(document) == [(2, 5, "not-utf8")]


def test_t30_a_file_that_is_too_big_is_not_read() -> None:
    document = parse(b"a: 1\n" + b"#" * MAX_BYTES, "gw.yaml", {})
    assert places(document) == [(1, 1, "too-big")]
    assert document.data == {}


def test_half_a_surrogate_pair_from_the_environment_is_a_fault() -> None:
    document = read("a: ${V}\n", {"V": "\udcff"})
    assert places(document) == [(1, 4, "not-text")]


def test_braces_without_quotes_get_their_own_advice() -> None:
    for text in ("id: {topic[1]}\n", "a: {b: ${X}}\n"):
        assert read(text).faults[0].help == "Put the value in quotes: it holds braces."


def test_a_byte_order_mark_is_no_part_of_the_first_key() -> None:
    assert parse(b"\xef\xbb\xbfa: 1\n", "gw.yaml", {}).data == {"a": 1}


def test_faults_of_one_text_are_bounded() -> None:
    assert len(read("a: [" + "*x, " * 5000 + "]").faults) == MOST_FAULTS + 1


def test_a_line_that_nobody_reads_is_not_shown() -> None:
    fault = read("a: [" + "x, " * 5000 + "*x]").faults[0]
    assert (fault.code, fault.source_form()) == ("alias", "")
