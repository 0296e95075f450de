"""Reads the small files of sysfs and procfs: a file that can't be read says nothing.

A read can fail at any time (EAGAIN and EINVAL are common on thermal zones), and it can block: call
from a thread.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["entries", "number", "text"]

_MOST_BYTES: Final = 4096
_MOST_ENTRIES: Final = 256
_LONGEST_NUMBER: Final = 20  # characters: what is longer is no reading, and no float either


def text(path: Path) -> str | None:
    """The file's text without the white space around it."""
    try:
        # One read: what is mounted there may have no end.
        with path.open("rb", buffering=0) as file:
            return os.read(file.fileno(), _MOST_BYTES).decode("ascii", "replace").strip()
    except OSError:
        return None


def number(path: Path, base: int = 10) -> int | None:
    """The whole number that the file holds."""
    found = text(path)
    try:
        return None if found is None or len(found) > _LONGEST_NUMBER else int(found, base)
    except ValueError:
        return None


def entries(folder: Path, beginning: str) -> Iterator[Path]:
    """The folder's entries named ``beginning`` and a number, in the order of the numbers."""
    try:
        names = [entry.name for entry in folder.iterdir()]
    except OSError:
        return
    numbers = [name.removeprefix(beginning) for name in names if name.startswith(beginning)]
    whole = sorted(int(n) for n in numbers if n.isascii() and n.isdigit())
    for which in whole[:_MOST_ENTRIES]:
        yield folder / f"{beginning}{which}"
