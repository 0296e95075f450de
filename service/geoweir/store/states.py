"""The table of what streams remember: read whole at the start, changed in groups.

All of it runs in the store's thread. Who remembers says what is forgotten: the table holds what
the memory holds, so its bound is the memory's.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from geoweir.core.states import StateChange, StateRow

__all__ = ["STATE_ROW_BYTES", "StateTable"]

#: What a row takes at most for an id of usual length, its pages half filled.
STATE_ROW_BYTES: Final = 256


class StateTable:
    """The saved values in one open database."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def save(self, changes: Sequence[StateChange]) -> None:
        """Replaces and removes values, in the order given."""
        for change in changes:
            key = (change.stream, change.kind, _bytes(change.id))
            if change.value is None:
                self._connection.execute(
                    "DELETE FROM states WHERE stream = ? AND kind = ? AND id = ?", key
                )
            else:
                self._connection.execute(
                    "INSERT INTO states (stream, kind, id, value, moment) VALUES (?, ?, ?, ?, ?)"
                    " ON CONFLICT DO UPDATE SET value = excluded.value, moment = excluded.moment",
                    (*key, change.value, change.moment),
                )

    def load(self, stream: str, kind: str) -> list[StateRow]:
        """Every value of a stream's memory, the oldest first."""
        rows = self._connection.execute(
            "SELECT id, value, moment FROM states WHERE stream = ? AND kind = ? ORDER BY moment",
            (stream, kind),
        )
        return [
            StateRow(bytes(ident).decode("utf-8", "surrogatepass"), bytes(value), float(moment))
            for ident, value, moment in rows
        ]


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
