"""The table of kept inputs: what goes in, what leaves, what is found.

All of it runs in the store's thread, inside a transaction that the caller opened.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from geoweir.core.kept import Drop, Kept, KeptTotals, Selection, kept_id
from geoweir.core.lane import Headers
from geoweir.store.schema import UnfitError
from geoweir.store.states import STATE_ROW_BYTES, StateTable

__all__ = ["Bounds", "KeptTable"]

#: What a row costs beside what its columns hold; measured with SQLite's dbstat at 4,096-byte pages.
_ROW_BYTES: Final = 160
#: Before 2024 a gateway's clock is wrong: an age by it means nothing.
_CLOCK_IS_SANE_S: Final = 1_704_067_200.0
_AT_ONCE: Final = 64  # rows that are looked at when the oldest have to leave
_LONGEST_DETAIL: Final = 512

_DESCRIPTION: Final = (
    "id, sequence, stream, topic, headers, received, dropped, outcome, reason, detail, attempts, "
    "length(payload)"
)
_HEADERS: Final = msgspec.msgpack.Decoder(Headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much is kept; beyond, the oldest leave."""

    messages: int
    size: int  # bytes
    age_s: float
    states: int = 0  # values that streams may remember beside

    @property
    def state_bytes(self) -> int:
        """What those may take."""
        return self.states * STATE_ROW_BYTES


class KeptTable:
    """The kept inputs in one open database.

    Attributes:
        totals: how much is kept, as of the last call.
        states: what streams remember, in the same database.
        removed: how many left at each of ``core.kept.BOUNDS`` since the last look.
    """

    def __init__(self, connection: sqlite3.Connection, bounds: Bounds) -> None:
        self._connection = connection
        self._bounds = bounds
        self.states = StateTable(connection)
        self.removed: Counter[str] = Counter()
        self.totals = KeptTotals()
        self.recount()

    def recount(self) -> None:
        """Counts anew what is there: at the start, and after a transaction that was undone."""
        inputs, weight = self._one("SELECT count(*), coalesce(sum(weight), 0) FROM kept")
        self.totals = KeptTotals(int(inputs), int(weight))

    def keep(self, drops: Sequence[Drop]) -> int:
        """Takes inputs in, the oldest leave for them; how many it took.

        One that is larger than everything that may be kept is not taken.
        """
        kept = 0
        for drop in drops:
            kept += self._keep(drop)
        if drops:
            self.sweep(drops[-1].dropped)
        return kept

    def forget(self, ids: Sequence[str]) -> None:
        """Lets go of inputs by their whole names."""
        for name in ids:
            self._remove("id = ?", name)

    def sweep(self, now: float) -> None:
        """Lets the oldest go that are beyond a bound; ``now`` is Unix seconds."""
        if now >= _CLOCK_IS_SANE_S:
            before = now - self._bounds.age_s
            gone = self._remove("dropped < ? AND dropped >= ?", before, _CLOCK_IS_SANE_S)
            if gone:
                self.removed["age"] += gone
        self._make_room()

    def find(self, selection: Selection, most: int) -> list[Kept]:
        """Descriptions by sequence."""
        where, values = _where(selection)
        rows = self._connection.execute(
            f"SELECT {_DESCRIPTION} FROM kept {where} ORDER BY sequence LIMIT ?",  # noqa: S608
            (*values, most),
        )
        return [_kept(row) for row in rows]

    def load(self, selection: Selection, most: int, most_bytes: int) -> list[Kept]:
        """Inputs with payloads by sequence: at least one, where there is one."""
        where, values = _where(selection)
        rows = self._connection.execute(
            f"SELECT {_DESCRIPTION}, payload FROM kept {where} ORDER BY sequence LIMIT ?",  # noqa: S608
            (*values, most),
        )
        found: list[Kept] = []
        size = 0
        for row in rows:
            kept = _kept(row[:-1], bytes(row[-1]))
            size += kept.size
            if found and size > most_bytes:
                break
            found.append(kept)
        rows.close()
        return found

    def last_sequence(self) -> int:
        """The greatest sequence that was ever given."""
        (last,) = self._one(
            "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'kept'), 0)"
        )
        return int(last)

    def _keep(self, drop: Drop) -> bool:
        topic = drop.topic.encode("utf-8", "surrogatepass")
        headers = msgspec.msgpack.encode([(_text(k), _text(v)) for k, v in drop.headers])
        weight = _ROW_BYTES + len(topic) + len(headers) + len(drop.payload)
        if weight > self._bounds.size:
            return False
        name = kept_id(drop.stream, drop.topic, drop.payload)
        before = self._connection.execute(
            "SELECT attempts, received FROM kept WHERE id = ?", (name,)
        ).fetchone()
        attempts, received = before or (0, drop.received)
        self._remove("id = ?", name)
        # With a new sequence: what was dropped last leaves last.
        self._connection.execute(
            "INSERT INTO kept (id, stream, topic, received, dropped, outcome, reason, attempts,"
            " weight, detail, headers, payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                name,
                drop.stream,
                topic,
                received,
                drop.dropped,
                str(drop.outcome),
                drop.reason,
                max(attempts, drop.earlier) + 1,
                weight,
                _text(drop.detail[:_LONGEST_DETAIL]),
                headers,
                drop.payload,
            ),
        )
        self._count(1, weight)
        return True

    def _make_room(self) -> None:
        """Removes the oldest until both bounds hold."""
        while True:
            inputs, weight = self.totals.inputs, self.totals.bytes
            over: str | None = None
            last = 0
            oldest = self._connection.execute(
                "SELECT sequence, weight FROM kept ORDER BY sequence LIMIT ?", (_AT_ONCE,)
            ).fetchall()
            for sequence, row_weight in oldest:
                why = self._bound_passed(inputs, weight)
                if why is None:
                    break
                over, last = why, sequence
                inputs, weight = inputs - 1, weight - row_weight
            if over is None:
                return
            self.removed[over] += self._remove("sequence <= ?", last)

    def _bound_passed(self, inputs: int, weight: int) -> str | None:
        if inputs > self._bounds.messages:
            return "messages"
        return "size" if weight > self._bounds.size else None

    def _remove(self, condition: str, *values: object) -> int:
        gone, weight = self._one(
            f"SELECT count(*), coalesce(sum(weight), 0) FROM kept WHERE {condition}",  # noqa: S608
            *values,
        )
        if gone:
            self._connection.execute(f"DELETE FROM kept WHERE {condition}", values)  # noqa: S608
            self._count(-int(gone), -int(weight))
        return int(gone)

    def _count(self, inputs: int, weight: int) -> None:
        self.totals = KeptTotals(self.totals.inputs + inputs, self.totals.bytes + weight)

    def _one(self, query: str, *values: object) -> tuple[Any, ...]:
        row: tuple[Any, ...] = self._connection.execute(query, values).fetchone()
        return row


def _where(selection: Selection) -> tuple[str, list[object]]:
    """The condition of a selection, and its values."""
    conditions, values = [], []
    for condition, value in _conditions(selection):
        conditions.append(condition)
        values += value
    return f"WHERE {' AND '.join(conditions)}" if conditions else "", values


def _conditions(selection: Selection) -> Iterator[tuple[str, list[object]]]:
    if selection.ids:
        # Names are hex digits: "g" comes behind each that begins so.
        ranges = [bound for begin in selection.ids for bound in (begin, f"{begin}g")]
        either = " OR ".join("(id >= ? AND id < ?)" for _ in selection.ids)
        yield f"({either})", list(ranges)
    for column, value in (
        ("stream = ?", selection.stream),
        ("outcome = ?", selection.outcome),
        ("reason = ?", selection.reason),
        ("dropped >= ?", selection.since),
        ("dropped < ?", selection.until),
        ("sequence > ?", selection.after or None),
        ("sequence <= ?", selection.up_to),
    ):
        if value is not None:
            yield column, [value]


def _kept(row: Sequence[Any], payload: bytes | None = None) -> Kept:
    topic, headers = bytes(row[3]), bytes(row[4])
    try:
        names = topic.decode("utf-8", "surrogatepass"), _HEADERS.decode(headers)
    except (UnicodeDecodeError, msgspec.MsgspecError):
        raise UnfitError(f"damaged: kept input {row[0]} is not as it was written") from None
    return Kept(
        id=row[0],
        sequence=row[1],
        stream=row[2],
        topic=names[0],
        headers=names[1],
        received=row[5],
        dropped=row[6],
        outcome=row[7],
        reason=row[8],
        detail=row[9],
        attempts=row[10],
        size=row[11],
        payload=payload,
    )


def _text(text: str) -> str:
    """A text that UTF-8 can hold."""
    return text.encode("utf-8", "replace").decode()
