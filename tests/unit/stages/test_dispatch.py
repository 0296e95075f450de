"""Dispatch at the end of the service, when the pool closes under it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from geoweir.core.account import Account
from geoweir.core.clocks import Clocks
from geoweir.core.outcome import REASON_CODES, Outcome
from geoweir.core.spec import PoolSpec, StreamSpec, WorkerSpec
from geoweir.pool.shelf import Shelf, ShelfEvents
from geoweir.pool.supervisor import Failure, Pool, PoolEvents, Ran
from geoweir.stages.dispatch import ChunkEvents, Dispatch
from support.parcels import working


@pytest.fixture
async def closed_pool() -> Pool:
    spec = PoolSpec(workers=1)
    told = cast("PoolEvents", SimpleNamespace())
    pool = Pool(spec, WorkerSpec(streams=()), events=told, shelf=Shelf(cast("ShelfEvents", told)))
    await pool.close(0.0)
    return pool


async def test_a_culprit_that_is_looked_for_when_the_pool_closes_takes_nobody_along(
    closed_pool: Pool,
) -> None:
    stream = StreamSpec(name="s", subscribe=("in/#",))
    account, told = Account(["s"]), SimpleNamespace(reconciled=lambda *_: None)
    dispatch = Dispatch(
        streams=(stream,),
        spec=PoolSpec(workers=1),
        pool=closed_pool,
        filled=lambda: pytest.fail("nothing is taken"),
        take=lambda: pytest.fail("nothing is taken"),
        top_up=lambda _: None,
        bound=lambda *_: None,
        account=account,
        start=lambda _: 0,
        finish=lambda *_: None,
        room=lambda: pytest.fail("nothing is taken"),
        identify=lambda *_: [],
        spawn=lambda *_: None,
        events=cast("ChunkEvents", told),
        is_watched=lambda _: False,
        earlier=lambda *_: 0,
        clocks=Clocks(monotonic=lambda: 0.0, wall=lambda: 0.0),
    )
    chunk = working(account, account.open_lane("s", "s", 1, resumed=False), 3)
    died = Ran(None, Failure.CRASH, "the worker ended", 0.1, 0)
    verdict = await dispatch._after_failure(chunk, died, 1.0)
    ends = [REASON_CODES[code] for code in verdict.codes]
    assert ends == [(Outcome.RECONCILED, "shutdown")] * 3
    assert set(verdict.details.values()) == {"the pool is closed"}
