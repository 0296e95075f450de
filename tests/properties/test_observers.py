"""Observers: every feature that a watcher wanted was shown, waits, or is counted as missed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from geoweir.core.account import Account
from geoweir.core.outcome import Outcome
from geoweir.core.work import Sightings
from geoweir.telemetry.observers import Observers, Watcher
from support.parcels import working

WAITING = 1024  # the buffer of one watcher


@dataclass(frozen=True)
class Show:
    count: int
    is_sighted: bool
    outcome: Outcome


@dataclass(frozen=True)
class Pass:
    seconds: float


@dataclass(frozen=True)
class Take:
    times: int


acts = st.lists(
    st.one_of(
        st.builds(Show, st.integers(1, 700), st.booleans(), st.sampled_from(Outcome)),
        st.builds(Pass, st.floats(0, 3)),
        st.builds(Take, st.integers(1, 4)),
    ),
    max_size=30,
)


class World:
    def __init__(self, limit: int | None, rate: int, outcome: Outcome | None) -> None:
        self.now = 0.0
        self.shown, self.missed, self.wanted = 0, 0, 0
        self.limit, self.rate, self.outcome = limit, rate, outcome
        self.observers = Observers(
            ["s"], identify=lambda *_: [], clock=lambda: self.now, wall=lambda: 0.0
        )
        self.account = Account(["s"])
        self.ledger = self.account.open_lane("s", "s", 1, resumed=False)

    def show(self, watcher: Watcher, show: Show) -> None:
        parcel = working(self.account, self.ledger, show.count)
        if show.is_sighted:
            n = show.count
            parcel.sightings = Sightings(
                "c", list(range(n)), ["i"] * n, [0.0] * n, [0.0] * n, [None] * n
            )
        if watcher.wants(show.outcome):
            self.wanted += show.count
        self.observers.show(parcel, range(show.count), show.outcome, "")

    async def take(self, watcher: Watcher, times: int) -> None:
        for _ in range(times):
            seen = await watcher.take(0.0)
            if seen is not None:
                assert self.outcome in {None, seen.outcome}
                self.shown += len(seen)
                assert len({len(seen.ids), len(seen.topics), len(seen.x), len(seen.times)}) == 1
        self.missed += watcher.missed()

    async def play(self, what: list[Show | Pass | Take]) -> None:
        with self.observers.watch(
            outcome=self.outcome, limit=self.limit, rate=self.rate
        ) as watcher:
            for act in what:
                match act:
                    case Show():
                        self.show(watcher, act)
                    case Pass():
                        self.now += act.seconds
                    case Take():
                        await self.take(watcher, act.times)
                assert self.limit is None or self.shown <= self.limit
                assert self.shown <= self.rate * (1 + self.now)
            before = self.shown
            await self.take(watcher, len(what) + 1)
            assert self.shown - before <= WAITING
            assert self.shown + self.missed == self.wanted


@given(
    what=acts,
    limit=st.none() | st.integers(1, 2000),
    rate=st.integers(1, 10_000),
    outcome=st.none() | st.sampled_from(Outcome),
)
def test_what_a_watcher_wants_is_shown_or_counted_as_missed(
    what: list[Show | Pass | Take], limit: int | None, rate: int, outcome: Outcome | None
) -> None:
    asyncio.run(World(limit, rate, outcome).play(what))
