"""Reads the file of a service that doesn't run: nothing in it is changed."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from geoweir.errors import ConfigurationError, StateError
from geoweir.store.kept import Bounds, KeptTable
from geoweir.store.schema import VERSION, UnfitError, read_version

__all__ = ["open_for_reading"]

_WAIT_S: Final = 1.0
_NO_BOUNDS: Final = Bounds(messages=0, size=0, age_s=0.0)  # nothing is taken in


@contextlib.contextmanager
def open_for_reading(path: Path) -> Iterator[KeptTable]:
    """The kept inputs in a file.

    Raises:
        ConfigurationError: there is no such file.
        StateError: a running service has it open, or it can't be read.
    """
    if not path.is_file():
        raise ConfigurationError(f"{path}: there is no such file: nothing was kept here yet.")
    try:
        # Not immutable: what stands in the log only would be missing.
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_WAIT_S
        )
    except sqlite3.Error as error:
        raise StateError("io", f"{path}: it can't be read: {error}") from None
    with contextlib.closing(connection):
        try:
            connection.execute("PRAGMA query_only = ON")
            version = read_version(connection)
            if not version:
                raise StateError("io", f"{path}: it is empty: nothing was kept here yet.")
            if version != VERSION:
                raise StateError(
                    "io",
                    f"{path}: made by an older geoweir. Start the service once: it moves it on.",
                )
            yield KeptTable(connection, _NO_BOUNDS)
        except UnfitError as error:
            raise StateError("damaged", f"{path}: {error}") from None
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code == sqlite3.SQLITE_BUSY:
                raise StateError(
                    "locked", f"{path}: a running service has it open. Ask that one, with --url."
                ) from None
            raise StateError("io", f"{path}: it can't be read: {error}") from None
