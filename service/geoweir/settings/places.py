"""Finding settings of one kind in the plain data, wherever they stand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from geoweir.settings.document import Document
from geoweir.settings.faults import KeyPath

__all__ = ["EACH", "find", "texts", "value_at"]

#: In a pattern: every key of a mapping, every item of a list.
EACH: Final = "*"


def find(data: object, *pattern: str) -> Iterator[tuple[KeyPath, object]]:
    """Every value whose path fits the pattern, with its path; wrong shapes hold none."""
    yield from _find(data, pattern, ())


def _find(
    data: object, pattern: tuple[str, ...], path: KeyPath
) -> Iterator[tuple[KeyPath, object]]:
    if not pattern:
        yield path, data
        return
    head, rest = pattern[0], pattern[1:]
    if isinstance(data, dict):
        names = list(data) if head == EACH else [head] if head in data else []
        for name in names:
            yield from _find(data[name], rest, (*path, name))
    elif isinstance(data, list) and head == EACH:
        for index, value in enumerate(data):
            yield from _find(value, rest, (*path, index))


def texts(document: Document, *pattern: str) -> Iterator[tuple[KeyPath, str]]:
    """Every text whose path fits the pattern and that could be read.

    Empty ones are left out: validation refuses them.
    """
    for path, value in find(document.data, *pattern):
        if isinstance(value, str) and value and not document.is_broken(path):
            yield path, value


def value_at(data: object, *path: str) -> object:
    """The value at a path of keys; None where there is none."""
    return next((value for _, value in find(data, *path)), None)
