"""The store's database file: its form, its versions, and whether a file is one of ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

__all__ = ["APPLICATION_ID", "VERSION", "UnfitError", "migrate", "read_version", "verify"]

#: Marks a file as geoweir's ("gwst"), see SQLite's ``PRAGMA application_id``.
APPLICATION_ID: Final = 0x67777374

#: Each brings a database to the next version; what is here is never changed, only added to.
_MIGRATIONS: Final[Sequence[str]] = (
    # The payload stands last: what only looks at the others reads no page of it.
    """
    CREATE TABLE kept (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        stream TEXT NOT NULL,
        topic BLOB NOT NULL,
        received REAL NOT NULL,
        dropped REAL NOT NULL,
        outcome TEXT NOT NULL,
        reason TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        weight INTEGER NOT NULL,
        detail TEXT NOT NULL,
        headers BLOB NOT NULL,
        payload BLOB NOT NULL
    ) STRICT;
    CREATE INDEX kept_by_time ON kept (dropped);
    """,
    """
    CREATE TABLE states (
        stream TEXT NOT NULL,
        kind TEXT NOT NULL,
        id BLOB NOT NULL,
        value BLOB NOT NULL,
        moment REAL NOT NULL,
        PRIMARY KEY (stream, kind, id)
    ) STRICT, WITHOUT ROWID;
    """,
)

VERSION: Final = len(_MIGRATIONS)


class UnfitError(Exception):
    """A file that is not, or no longer, a database of ours; the text says why."""


def read_version(connection: sqlite3.Connection) -> int:
    """The version of a database; 0 for an empty one.

    Raises:
        UnfitError: it is another program's, or a newer geoweir's.
    """
    application = int(connection.execute("PRAGMA application_id").fetchone()[0])
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if application == APPLICATION_ID:
        if version > VERSION:
            raise UnfitError(f"made by a newer geoweir (version {version} of the form)")
        return version
    tables = int(connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0])
    if application or version or tables:
        raise UnfitError("another program's database")
    return 0


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Brings a database from a version to the newest one, step by step, each whole or not at all.

    Args:
        connection: in autocommit mode, outside a transaction.
        version: what ``read_version`` gave.
    """
    for number, script in enumerate(_MIGRATIONS[version:], start=version + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in filter(str.strip, script.split(";")):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def verify(connection: sqlite3.Connection) -> None:
    """Looks through the whole file.

    Raises:
        UnfitError: its pages contradict each other.
    """
    found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    if found != "ok":
        raise UnfitError("damaged: " + " ".join(found.split())[:200])
