"""Hostile text for a terminal: nothing that it would act on is left, and nothing is made alike."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoweir.cli.escaping import escaped


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("bus 7", "bus 7"),
        ("Köln 火車 \N{SNOWMAN}", "Köln 火車 \N{SNOWMAN}"),
        ("\x1b[2J\x07", "\\x1b[2J\\x07"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x9b31m\x7f", "\\x9b31m\\x7f"),
        ("\u202egpj\u2066\u200b\ufeff", "\\u202egpj\\u2066\\u200b\\ufeff"),
        ("\u2028\u00a0", "\\u2028\\xa0"),
        ("\ud800", "\\ud800"),
        ("\\x1b", "\\\\x1b"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_escapes(text: str, shown: str) -> None:
    assert escaped(text) == shown


@given(st.text(), st.text())
def test_what_is_shown_is_printable_and_two_texts_never_look_the_same(one: str, two: str) -> None:
    assert escaped(one).isprintable()
    assert (escaped(one) == escaped(two)) == (one == two)
