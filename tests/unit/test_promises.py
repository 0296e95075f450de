"""Each promise in the documents names a test, and each of those is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "delivery.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_a_named_test_is_there(file: str, test: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    assert re.search(rf"^((async )?def {test}\(|{test} = )", text, re.MULTILINE)


def test_each_promise_names_one() -> None:
    table = PAGE.split("| promise |")[1].split("\n\n")[0].splitlines()[2:]
    assert len(table) >= 10
    assert [row for row in table if not re.search(r"`tests/\S+::\w+` \|$", row)] == []
