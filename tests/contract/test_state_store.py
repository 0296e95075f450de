"""What every StateStore promises: the real one on a file and in memory, and the simulated one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from geoweir.core.kept import Drop, Selection
from geoweir.core.outcome import Outcome
from geoweir.store.kept import Bounds
from geoweir.store.sqlite import SqliteStore
from simulation.clockwork import SimLoop, World
from simulation.disk import Disk, SimStore

_BOUNDS = Bounds(messages=100, size=100_000, age_s=1e9)

#: Runs some work on a store, as often as it is called on the same disk.
Use = Callable[[Callable[[SqliteStore], Awaitable[object]]], Any]


def _events() -> Any:
    return SimpleNamespace(
        removed=lambda *_: None,
        store_failed=lambda *_: None,
        store_works=lambda: None,
        not_kept=lambda *_: None,
    )


@pytest.fixture(params=["file", "simulated"])
def use(request: pytest.FixtureRequest, tmp_path: Path) -> Use:
    def on_file(work: Callable[[SqliteStore], Awaitable[object]]) -> object:
        async def run() -> object:
            path = tmp_path / "state"
            async with SqliteStore(path, _BOUNDS, events=_events(), wall=lambda: 2e9) as store:
                return await work(store)

        return asyncio.run(run())

    world = World()
    disk = Disk(world, Random(1))

    def simulated(work: Callable[[SqliteStore], Awaitable[object]]) -> object:
        async def run() -> object:
            async with SimStore(disk, _BOUNDS, events=_events(), wall=lambda: 2e9) as store:
                return await work(store)

        async def nobody(*_: object) -> None:
            """Nothing connects."""

        loop = SimLoop(world, Random(2), connect=nobody, on_turn=lambda: None)
        try:
            return loop.run_until_complete(run())
        finally:
            loop.close()

    return on_file if request.param == "file" else simulated


def drop(n: int) -> Drop:
    return Drop(
        stream="s",
        topic=f"in/{n}",
        payload=b"%d" % n,
        headers=(("a", "b"),),
        received=2e9,
        dropped=2e9 + n,
        outcome=Outcome.RECONCILED,
        reason="crash",
        detail="",
    )


def test_what_is_kept_is_found_in_order_also_after_a_new_start(use: Use) -> None:
    assert use(lambda store: store.keep([drop(1), drop(2), drop(3)])) == 3
    found = use(lambda store: store.load(Selection(), most=10, most_bytes=10_000))
    assert [(one.topic, one.payload, one.attempts) for one in found] == [
        (f"in/{n}", b"%d" % n, 1) for n in (1, 2, 3)
    ]
    assert use(lambda store: store.last_sequence()) == found[-1].sequence


def test_what_is_dropped_again_is_one_kept_input_and_counts_up(use: Use) -> None:
    use(lambda store: store.keep([drop(1)]))
    use(lambda store: store.keep([drop(1)]))
    found = use(lambda store: store.find(Selection(), most=10))
    assert [one.attempts for one in found] == [2]


def test_what_is_forgotten_is_gone_and_unknown_names_are_no_fault(use: Use) -> None:
    use(lambda store: store.keep([drop(1), drop(2)]))
    first, _ = use(lambda store: store.find(Selection(), most=10))
    assert use(lambda store: store.forget([first.id, "nobody"])) is True
    assert [one.topic for one in use(lambda store: store.find(Selection(), most=10))] == ["in/2"]


def test_nothing_is_kept_of_nothing(use: Use) -> None:
    assert use(lambda store: store.keep([])) == 0
    assert use(lambda store: store.find(Selection(), most=10)) == []
