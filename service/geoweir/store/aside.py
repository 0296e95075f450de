"""Puts a file that can't be used aside, under a name of its own: nothing is ever deleted."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from geoweir.errors import StateError

__all__ = ["MOST_ASIDE", "move_aside", "sync_files", "sync_folder"]

#: Files put aside that one store may leave behind: a dying card must not be filled with them.
MOST_ASIDE: Final = 8

_INFIX: Final = ".damaged-"


def move_aside(path: Path) -> Path:
    """Renames a database and its log, durably; the new name.

    Raises:
        StateError: there are ``MOST_ASIDE`` already.
        OSError: the folder can't be written.
    """
    there = [one for one in path.parent.glob(f"{_glob_name(path)}{_INFIX}*") if not _is_log(one)]
    if len(there) >= MOST_ASIDE:
        raise StateError(
            "damaged",
            f"{path}: damaged, and {len(there)} damaged files lie beside it already. "
            "Look at them, remove them, and check the disk.",
        )
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    names = (f"{path.name}{_INFIX}{stamp}{f'-{n}' if n else ''}" for n in range(MOST_ASIDE + 1))
    target = next(path.with_name(name) for name in names if not path.with_name(name).exists())
    # The log first: without its database it is nothing, but a fresh database would read it.
    for suffix in ("-wal", ""):
        with suppress(FileNotFoundError):
            os.replace(f"{path}{suffix}", f"{target}{suffix}")  # noqa: PTH105 - names with suffixes
    with suppress(FileNotFoundError):
        os.remove(f"{path}-shm")  # noqa: PTH107 - an index that every opening makes anew
    sync_folder(path.parent)
    return target


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_files(paths: Iterable[Path]) -> None:
    """Makes files, and their names in their folder, durable as they are; those that there are."""
    there = [path for path in paths if path.exists()]
    for path in there:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
    for folder in {path.parent for path in there}:
        sync_folder(folder)


def _glob_name(path: Path) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in path.name)


def _is_log(path: Path) -> bool:
    return path.name.endswith(("-wal", "-shm"))
