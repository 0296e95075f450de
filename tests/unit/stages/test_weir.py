from __future__ import annotations

import asyncio

import pytest

from geoweir.core.account import Account, Ledger
from geoweir.core.backlog import Backlog
from geoweir.stages.weir import Weir
from support.parcels import received


def made(limit: int = 10, piece: int = 4) -> tuple[Weir, Account, Ledger]:
    account = Account(["buses"])
    ledger = account.open_lane("buses", "buses", 1, resumed=False)
    backlog = Backlog({"buses": "normal"}, chunk=4, chunk_bytes=65_536)
    return Weir(backlog, limit=limit, piece=piece, clock=lambda: 0.0), account, ledger


async def test_it_never_holds_more_messages_than_its_limit() -> None:
    weir, account, ledger = made()
    for _ in range(2):
        await weir.put(received(account, ledger, 4))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await weir.put(received(account, ledger, 4))
    assert weir.qsize() == 8


async def test_taking_a_chunk_makes_room() -> None:
    weir, account, ledger = made()
    for _ in range(2):
        await weir.put(received(account, ledger, 4))
    waiting = asyncio.ensure_future(weir.put(received(account, ledger, 4)))
    await asyncio.sleep(0)
    assert len(await weir.get()) == 4
    await waiting
    assert weir.qsize() == 8


async def test_topping_a_chunk_up_makes_room() -> None:
    weir, account, ledger = made(limit=4, piece=3)
    await weir.put(received(account, ledger, 1))
    chunk = weir.get_nowait()
    await weir.put(received(account, ledger, 1))
    await weir.put(received(account, ledger, 1))
    waiting = asyncio.ensure_future(weir.put(received(account, ledger, 3)))
    await asyncio.sleep(0)
    assert not waiting.done()
    weir.top_up(chunk)
    assert (len(chunk), weir.empty()) == (3, True)
    async with asyncio.timeout(1):
        await waiting
    assert weir.qsize() == 3


async def test_a_chunk_is_taken_as_soon_as_anything_waits() -> None:
    weir, account, ledger = made()
    taking = asyncio.ensure_future(weir.get())
    await asyncio.sleep(0)
    await weir.put(received(account, ledger, 1))
    assert len(await taking) == 1
    assert weir.empty()


async def test_a_limit_smaller_than_a_chunk_still_lets_inputs_through() -> None:
    weir, account, ledger = made(limit=2, piece=128)
    assert weir.piece == 2
    await weir.put(received(account, ledger, weir.piece))
    assert len(await weir.get()) == 2
