"""Lines of the configuration for showing beside a fault, with every secret masked."""

from __future__ import annotations

import re
from typing import Final

from geoweir.settings.faults import KeyPath

__all__ = ["Excerpts", "is_secret_name"]

_LINE_BREAK: Final = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_SECRET_NAME: Final = re.compile(r"passw|passphrase|secret|token|credential|pwd", re.IGNORECASE)
_URL_SECRET: Final = re.compile(r"://[^\s]*@")
#: What follows such a key on its line, where the YAML was too broken to tell values apart.
_SECRET_VALUE: Final = re.compile(
    r"((?:passw|passphrase|secret|token|credential|pwd)[^\s:]*\s*:).*", re.IGNORECASE
)
_MASK: Final = "***"
_LONGEST: Final = 160  # characters of a line that are shown


class Excerpts:
    """The lines of a file, with the values of secret settings masked."""

    def __init__(self, text: str) -> None:
        self._lines = _LINE_BREAK.split(text)
        self._hidden: set[int] = set()  # lines that hold a secret's value, from 0

    def hide(self, path: KeyPath, start: object, end: object) -> None:
        """Masks a scalar where its path says that it is a secret; PyYAML's marks."""
        if any(isinstance(key, str) and is_secret_name(key) for key in path):
            first, last = getattr(start, "line", 0), getattr(end, "line", 0)
            self._hidden.update(range(first, last + 1))

    def line(self, number: int, column: int) -> tuple[str, int]:
        """A line (from 1) for people, and where a column (from 1) stands in it, from 0.

        Masking can move the column; then the caret stands at the nearest place that is shown.
        """
        if not 1 <= number <= len(self._lines):
            return "", 0
        text = self._lines[number - 1]
        before = text[: column - 1]
        masked, masked_before = self._masked(text, number), self._masked(before, number)
        if not masked.startswith(masked_before):
            masked_before = masked
        start = max(0, len(masked_before) - _LONGEST // 2)
        shown = "".join(
            c if c.isprintable() or c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in masked
        )
        return shown[start : start + _LONGEST], len(masked_before) - start

    def _masked(self, text: str, number: int) -> str:
        masked = _SECRET_VALUE.sub(rf"\1 {_MASK}", _URL_SECRET.sub(f"://{_MASK}@", text))
        if number - 1 in self._hidden and masked == text and ":" not in text:
            return _MASK  # the value's own line, without its key
        return masked


def is_secret_name(name: str) -> bool:
    """Whether a key's value must never be shown; the name of a file may be."""
    return bool(_SECRET_NAME.search(name)) and not name.endswith("_file")
