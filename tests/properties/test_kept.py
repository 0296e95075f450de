"""The kept inputs against a plain model, whatever is kept, forgotten, aged and undone."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from geoweir.core.kept import Selection, kept_id
from geoweir.store.kept import Bounds, KeptTable
from geoweir.store.schema import migrate
from support.keeping import NOW, drop

BOUNDS = Bounds(messages=8, size=64_000, age_s=100.0)


@dataclass
class Row:
    attempts: int
    dropped: float
    weight: int


class KeptMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        migrate(self.connection, 0)
        self.table = KeptTable(self.connection, BOUNDS)
        self.model: dict[str, Row] = {}  # in the order of the last drop
        self.now = NOW

    @rule(
        name=st.integers(0, 15),
        size=st.sampled_from([0, 10, 15_000, 63_000, 70_000]),
        later=st.floats(0, 60),
    )
    def keep(self, name: int, size: int, later: float) -> None:
        self.now += later
        payload = b"x" * size
        taken = self.table.keep([drop(name, payload=payload, dropped=self.now)])
        weight = 160 + len(f"in/{name}") + 6 + size
        assert taken == (weight <= BOUNDS.size)
        if taken:
            ident = kept_id("s", f"in/{name}", payload)
            before = self.model.pop(ident, None)
            self.model[ident] = Row(before.attempts + 1 if before else 1, self.now, weight)
        self._leave()

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        ident = data.draw(st.sampled_from(sorted(self.model)))
        self.table.forget([ident])
        del self.model[ident]

    @rule(later=st.floats(0, 200))
    def sweep(self, later: float) -> None:
        self.now += later
        self.table.sweep(self.now)
        self._leave()

    @rule(name=st.integers(0, 15))
    def undone(self, name: int) -> None:
        self.connection.execute("BEGIN")
        self.table.keep([drop(name, dropped=self.now)])
        self.connection.execute("ROLLBACK")
        self.table.recount()

    def _leave(self) -> None:
        old = [i for i, row in self.model.items() if row.dropped < self.now - BOUNDS.age_s]
        for ident in old:
            del self.model[ident]
        while (
            len(self.model) > BOUNDS.messages
            or sum(row.weight for row in self.model.values()) > BOUNDS.size
        ):
            del self.model[next(iter(self.model))]

    @invariant()
    def both_say_the_same(self) -> None:
        found = self.table.find(Selection(), 100)
        assert [one.id for one in found] == list(self.model)
        assert [one.attempts for one in found] == [row.attempts for row in self.model.values()]
        weight = sum(row.weight for row in self.model.values())
        assert (self.table.totals.inputs, self.table.totals.bytes) == (len(self.model), weight)

    def teardown(self) -> None:
        self.connection.close()


TestKept = KeptMachine.TestCase
TestKept.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
