"""Lines of the configuration for showing beside a fault, with every secret masked."""

from __future__ import annotations

import re
from difflib import get_close_matches
from functools import lru_cache
from typing import Final

import yaml

from geoweir.settings.faults import KeyPath

__all__ = ["Excerpts", "is_secret_name"]

_LINE_BREAK: Final = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_SECRET_NAME: Final = re.compile(r"passw|passphrase|secret|token|credential|pwd", re.IGNORECASE)
_URL_SECRET: Final = re.compile(r"://[^\s]*@")
#: What follows such a key on its line, where the YAML was too broken to tell values apart.
_SECRET_VALUE: Final = re.compile(
    r"((?:passw|passphrase|secret|token|credential|pwd)[^\s:]*\s*:).*", re.IGNORECASE
)
_Span = tuple[int, int | None]  # from 0; None: to the end of the line

_MASK: Final = "***"
_UNKNOWN: Final = "\N{REPLACEMENT CHARACTER}"
_SECRET_NAMES: Final = ("password", "token", "secret", "credentials")
_LONGEST_NAME: Final = 32  # characters of a key that are compared
_LONGEST_LINE: Final = 2000  # characters; of longer lines nothing is shown
_LONGEST: Final = 160  # characters of a line that are shown


class Excerpts:
    """The lines of a file, with the values of secret settings masked."""

    def __init__(self, text: str) -> None:
        self._lines = _LINE_BREAK.split(text)
        self._spans: dict[int, list[_Span]] = {}  # masked parts of lines, in order

    def hide(self, path: KeyPath, start: yaml.Mark, end: yaml.Mark) -> None:
        """Masks a scalar where its path says that it is a secret."""
        if not any(isinstance(key, str) and is_secret_name(key) for key in path):
            return
        for number in range(start.line, end.line + 1):
            first = start.column if number == start.line else 0
            last = end.column if number == end.line else None
            self._spans.setdefault(number + 1, []).append((first, last))

    def line(self, number: int, column: int) -> tuple[str, int]:
        """A line (from 1) for people, and where a column (from 1) stands in it, from 0.

        A column within a mask, or moved by the mask of a URL, is shown at a place near by.
        """
        if not 1 <= number <= len(self._lines) or len(self._lines[number - 1]) > _LONGEST_LINE:
            return "", 0
        text, caret = self._masked(number, column - 1)
        before = _without_secrets(text[:caret])
        text = _without_secrets(text)
        caret = len(before) if text.startswith(before) else len(text)
        start = max(0, caret - _LONGEST // 2)
        shown = "".join(c if c.isprintable() or c == "\t" else _UNKNOWN for c in text)
        return shown[start : start + _LONGEST], caret - start

    def _masked(self, number: int, caret: int) -> tuple[str, int]:
        """A line without its masked parts, and where the caret is in it then."""
        text = self._lines[number - 1]
        for first, last in reversed(self._spans.get(number, [])):
            end = len(text) if last is None else last
            if first == end:
                continue
            text = text[:first] + _MASK + text[end:]
            if caret >= end:
                caret += len(_MASK) - (end - first)
            elif caret > first:
                caret = first
        return text, caret


def _without_secrets(text: str) -> str:
    """Text of which the YAML may be too broken to tell values apart."""
    return _SECRET_VALUE.sub(rf"\1 {_MASK}", _URL_SECRET.sub(f"://{_MASK}@", text))


@lru_cache(maxsize=1024)
def is_secret_name(name: str) -> bool:
    """Whether a key's value must never be shown; the name of a file may be.

    A key that only resembles one counts: it is a slip of the pen.
    """
    if name.endswith("_file"):
        return False
    if _SECRET_NAME.search(name):
        return True
    return bool(get_close_matches(name[:_LONGEST_NAME].lower(), _SECRET_NAMES, n=1, cutoff=0.7))
