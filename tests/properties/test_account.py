"""The account against a plain dict, in any order of receipt, work, loss and return."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from geoweir.core.account import Account, Event, Ledger
from geoweir.core.lane import DURABLE
from geoweir.core.outcome import Outcome

ENDS = {
    Outcome.PUBLISHED: "",
    Outcome.REJECTED: "json",
    Outcome.RECONCILED: "timeout",
}
STEPS = {"received": Event.QUEUE, "queued": Event.START, "working": Event.DELIVER}
FOLLOWING = {"received": "queued", "queued": "working", "working": "delivering"}


class AccountMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.account = Account(["s"])
        self.epoch = 0
        self.ledger: Ledger = self.account.open_lane("s", "s", 0, resumed=False)
        # (ledger, position) -> [state, durable]
        self.model: dict[tuple[Ledger, int], list[Any]] = {}
        self.confirmed: dict[Ledger, int] = {self.ledger: -1}

    def ours(self, *states: str) -> list[tuple[Ledger, int]]:
        return [key for key, (state, _) in self.model.items() if state in states]

    @rule(durable=st.lists(st.booleans(), min_size=1, max_size=6))
    def receive(self, durable: list[bool]) -> None:
        first = self.ledger.next_position
        flags = bytes(DURABLE if d else 0 for d in durable)
        self.account.receive(self.ledger, first, flags, 0.0)
        for offset, is_durable in enumerate(durable):
            self.model[self.ledger, first + offset] = ["received", is_durable]

    @precondition(lambda self: self.ours("received", "queued", "working"))
    @rule(data=st.data())
    def advance(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(self.ours("received", "queued", "working")))
        state = self.model[key][0]
        self.account.advance(key[0], [key[1]], STEPS[state])
        self.model[key][0] = FOLLOWING[state]

    @precondition(lambda self: self.ours("delivering"))
    @rule(data=st.data(), outcome=st.sampled_from(sorted(ENDS)))
    def settle(self, data: st.DataObject, outcome: Outcome) -> None:
        key = data.draw(st.sampled_from(self.ours("delivering")))
        assert self.account.settle(key[0], [key[1]], outcome, ENDS[outcome]) == 1
        self.model[key][0] = outcome
        self.confirm(key[0])

    @precondition(lambda self: self.ours("received", "working"))
    @rule(data=st.data())
    def filter(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(self.ours("received", "working")))
        self.account.settle(key[0], [key[1]], Outcome.FILTERED, "bbox")
        self.model[key][0] = Outcome.FILTERED
        self.confirm(key[0])

    @precondition(lambda self: self.ours("returned"))
    @rule(data=st.data())
    def report_late(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(self.ours("returned")))
        assert self.account.settle(key[0], [key[1]], Outcome.PUBLISHED, "") == 0
        self.confirm(key[0])

    @precondition(lambda self: self.ours("queued"))
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(self.ours("queued")))
        self.account.give_back(key[0], [key[1]])
        self.model[key][0] = "returned"

    @rule(resumed=st.booleans())
    def reconnect(self, resumed: bool) -> None:
        self.account.close_lane(self.ledger)
        self.epoch += 1
        self.ledger = self.account.open_lane("s", "s", self.epoch, resumed=resumed)
        self.confirmed[self.ledger] = -1
        if resumed:
            for (ledger, position), entry in self.model.items():
                is_open = entry[0] in {*STEPS, "delivering"}
                if ledger is not self.ledger and entry[1] and is_open:
                    entry[0] = "returned"
                    del position

    def confirm(self, ledger: Ledger) -> None:
        position = self.account.confirm(ledger)
        if ledger is not self.ledger:
            assert position is None
            return
        before = self.confirmed[ledger]
        self.note_prefix(ledger)
        grown = self.confirmed[ledger]
        assert position == (grown if grown > before else None)

    def note_prefix(self, ledger: Ledger) -> None:
        position = self.confirmed[ledger]
        while True:
            entry = self.model.get((ledger, position + 1))
            if entry is None or entry[0] in {*STEPS, "delivering", "returned"}:
                break
            position += 1
        self.confirmed[ledger] = position

    @invariant()
    def balances(self) -> None:
        held = len(self.ours(*STEPS, "delivering"))
        assert self.account.unaccounted({"s": held}) == 0
        assert self.account.in_flight("s") == held
        totals = self.account.totals["s"]
        assert totals.received == len(self.model) - len(self.ours("returned"))
        for outcome in Outcome:
            assert totals.of(outcome) == len(self.ours(outcome))


TestAccount = AccountMachine.TestCase
TestAccount.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
