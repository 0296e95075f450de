import sqlite3

import pytest

from geoweir.store import schema
from geoweir.store.schema import APPLICATION_ID, VERSION, UnfitError, migrate, read_version, verify

pytestmark = pytest.mark.usefixtures("closed_databases")


def connect() -> sqlite3.Connection:
    return sqlite3.connect(":memory:", isolation_level=None)


def test_an_empty_database_becomes_ours_in_the_newest_version() -> None:
    connection = connect()
    assert read_version(connection) == 0
    migrate(connection, 0)
    assert read_version(connection) == VERSION
    verify(connection)
    migrate(connection, VERSION)  # nothing more to do


def test_a_database_of_an_older_version_keeps_what_is_in_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connection = connect()
    migrate(connection, 0)
    connection.execute(
        "INSERT INTO kept VALUES (1, 'a', 's', x'', 0, 0, 'rejected', 'json', 1, 1, '', x'', x'')"
    )
    steps = (*schema._MIGRATIONS, "ALTER TABLE kept ADD COLUMN note TEXT NOT NULL DEFAULT 'n'")
    monkeypatch.setattr(schema, "_MIGRATIONS", steps)
    migrate(connection, VERSION)
    assert connection.execute("SELECT id, note FROM kept").fetchall() == [("a", "n")]
    assert connection.execute("PRAGMA user_version").fetchone() == (VERSION + 1,)


def test_a_migration_that_fails_leaves_the_version_before(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = connect()
    steps = (*schema._MIGRATIONS, "CREATE TABLE more (a INTEGER); nonsense")
    monkeypatch.setattr(schema, "_MIGRATIONS", steps)
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, 0)
    assert read_version(connection) == VERSION
    assert (
        connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'more'").fetchone()[0]
        == 0
    )
    assert not connection.in_transaction


@pytest.mark.parametrize(
    "script",
    [
        "CREATE TABLE theirs (a INTEGER)",
        "PRAGMA application_id = 7",
        "PRAGMA user_version = 3",
    ],
)
def test_another_programs_database_is_told_apart(script: str) -> None:
    connection = connect()
    connection.execute(script)
    with pytest.raises(UnfitError, match="another program's"):
        read_version(connection)


def test_a_newer_geoweirs_database_is_told_apart() -> None:
    connection = connect()
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(UnfitError, match="newer"):
        read_version(connection)
