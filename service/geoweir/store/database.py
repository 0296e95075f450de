"""One SQLite database: opened, found fit, and put aside when it isn't; all in the store's thread.

It is in WAL mode with ``synchronous=FULL``: a commit that returned is on the disk, whatever loses
power afterwards, and a torn tail of the log is a transaction that never was (sqlite.org/wal.html).
The file is locked while it is open: a second service or a reader is told so, never mixed in.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from geoweir.errors import StateError
from geoweir.store.aside import move_aside, sync_folder
from geoweir.store.kept import Bounds, KeptTable
from geoweir.store.schema import UnfitError, migrate, read_version, verify

__all__ = ["Database"]

T = TypeVar("T")

_PAGE_BYTES: Final = 4096
#: The file's own bound over what may be kept: half-filled pages, and pages that are free again.
_SLACK: Final = 2
_LEAST_PAGES: Final = 256
#: The log is written back from so many pages on, and cut to this size.
_LOG_PAGES: Final = 500
_LOG_BYTES: Final = 4_000_000

#: Errors by SQLite's primary code (sqlite.org/rescode.html).
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})
_WHY: Final = {
    sqlite3.SQLITE_FULL: "full",
    sqlite3.SQLITE_NOMEM: "memory",
    sqlite3.SQLITE_BUSY: "locked",
    sqlite3.SQLITE_LOCKED: "locked",
    sqlite3.SQLITE_READONLY: "unwritable",
    sqlite3.SQLITE_CANTOPEN: "unwritable",
    sqlite3.SQLITE_PERM: "unwritable",
    sqlite3.SQLITE_AUTH: "unwritable",
}
_SAYS: Final = {
    "full": "no space left for it. Free some, or lower state.keep.size.",
    "locked": "another process has it open. Give each service a state.path of its own.",
    "memory": "there is not enough memory for it. Lower state.keep.size.",
    "unwritable": "it can't be written there. Correct the path or the permissions.",
    "io": "the disk failed to read or write it. Check the disk and the kernel's log.",
}
#: After a failure the file is not opened again sooner: each opening looks through all of it.
_PAUSE_S: Final = 2.0


class Database:
    """The kept inputs on disk, or in memory.

    Args:
        path: None for memory.
        bounds: how much is kept.
        on_damage: told of each file that was put aside: why, and where it is now.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        path: Path | None,
        bounds: Bounds,
        *,
        on_damage: Callable[[str, Path], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._bounds = bounds
        self._on_damage = on_damage
        self._connection: sqlite3.Connection | None = None
        self._table: KeptTable | None = None
        self._clock = clock
        self._failure: StateError | None = None
        self._again_at = 0.0

    def close(self) -> None:
        """Closes the file; what was committed is in it."""
        connection, self._connection, self._table = self._connection, None, None
        if connection is not None:
            connection.close()

    @property
    def table(self) -> KeptTable | None:
        """The kept inputs, where the file is open."""
        return self._table

    def change(self, work: Callable[[KeptTable], T]) -> T:
        """Runs changes as one transaction: when it returns, they are durable.

        Raises:
            StateError: nothing of it was done.
        """
        return self._attempt(lambda: self._transact(work))

    def ask(self, question: Callable[[KeptTable], T]) -> T:
        """Runs what only reads.

        Raises:
            StateError: it can't be read now.
        """
        return self._attempt(lambda: question(self._opened()))

    def _transact(self, work: Callable[[KeptTable], T]) -> T:
        table = self._opened()
        connection = self._connection
        assert connection is not None  # noqa: S101 - opened above
        removed = table.removed.copy()
        connection.execute("BEGIN IMMEDIATE")
        try:
            result = work(table)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            table.removed = removed
            table.recount()
            raise
        return result

    def _attempt(self, run: Callable[[], T]) -> T:
        """Once, and once more on a fresh file where the old one turned out to be damaged."""
        try:
            return self._named(run)
        except UnfitError as error:
            self._put_aside(str(error))
        try:
            return self._named(run)
        except UnfitError as error:
            raise StateError("damaged", f"{self._path}: damaged at once again: {error}") from None

    def _named(self, run: Callable[[], T]) -> T:
        """Runs it, SQLite's errors as ours.

        Raises:
            UnfitError: the file is damaged.
            StateError: anything else.
        """
        try:
            return run()
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code in _DAMAGED:
                raise UnfitError(f"damaged: {error}") from None
            raise self._failed(_WHY.get(code, "io"), error) from None

    def _failed(self, why: str, error: sqlite3.Error) -> StateError:
        failure = StateError(why, f"{self._path or 'memory'}: {_SAYS[why]} ({error})")
        # Where there is merely no room the file is sound; what memory holds can't be read again.
        if self._path is not None and (why != "full" or self._table is None):
            self.close()
            self._failure, self._again_at = failure, self._clock() + _PAUSE_S
        return failure

    def _opened(self) -> KeptTable:
        if self._table is None:
            if self._failure is not None and self._clock() < self._again_at:
                raise self._failure
            self._failure = None
            try:
                self._connection = self._connect()
                self._table = KeptTable(self._connection, self._bounds)
            except BaseException:
                self.close()
                raise
        return self._table

    def _connect(self) -> sqlite3.Connection:
        name = ":memory:" if self._path is None else str(self._path)
        if self._path is not None:
            _make_private(self._path)
        connection = self._connection = sqlite3.connect(name, timeout=0.0, isolation_level=None)
        connection.text_factory = _text
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        # Before anything is written: what isn't ours stays as it is.
        version = read_version(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = FAST")  # a card wears out by each write
        connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
        pages = max(
            _LEAST_PAGES, (_SLACK * self._bounds.size + self._bounds.state_bytes) // _PAGE_BYTES
        )
        connection.execute(f"PRAGMA max_page_count = {pages}")
        if version:
            verify(connection)
        migrate(connection, version)
        if self._path is not None and not version:
            sync_folder(self._path.parent)
        return connection

    def _put_aside(self, why: str) -> None:
        self.close()
        if self._path is None:
            raise StateError("damaged", f"memory: {why}")
        try:
            target = move_aside(self._path)
        except OSError as error:
            raise StateError("io", f"{self._path}: {why}; it can't be renamed: {error}") from None
        self._on_damage(why, target)


def _make_private(path: Path) -> None:
    """Makes the file, if it isn't there, for our eyes only; SQLite gives its log the same mode."""
    with contextlib.suppress(OSError):  # SQLite fails as well, and says why
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _text(data: bytes) -> str:
    """Text of a file that may be damaged."""
    return data.decode("utf-8", "replace")
