from __future__ import annotations

import asyncio

from geoweir.core.account import Account
from geoweir.core.verdict import Verdict
from geoweir.stages.ordering import Ordering
from support.parcels import received


class Rig:
    """An ordering whose deliveries are seen."""

    def __init__(self) -> None:
        self.account = Account(["a", "b"])
        self.ledgers = {
            name: self.account.open_lane(name, name, 1, resumed=False) for name in ("a", "b")
        }
        self.delivered: list[Verdict] = []
        self.ordering = Ordering(["a", "b"], self.delivered.append)

    def verdict(self, stream: str) -> Verdict:
        return Verdict(received(self.account, self.ledgers[stream], 1), b"\0", [])


async def test_chunks_leave_in_the_order_of_their_start() -> None:
    rig = Rig()
    numbers = [rig.ordering.start("a") for _ in range(3)]
    verdicts = [rig.verdict("a") for _ in numbers]
    for at in (2, 1):
        rig.ordering.finish("a", numbers[at], verdicts[at])
    assert rig.delivered == []
    assert [*rig.ordering.parcels()] == [verdicts[2].parcel, verdicts[1].parcel]
    rig.ordering.finish("a", numbers[0], verdicts[0])
    assert rig.delivered == verdicts
    assert [*rig.ordering.parcels()] == []


async def test_what_piled_up_lets_another_stream_pass_and_is_held_until_it_leaves() -> None:
    rig = Rig()
    numbers = [rig.ordering.start("a") for _ in range(50)]
    verdicts = [rig.verdict("a") for _ in numbers]
    for at in range(49, -1, -1):
        rig.ordering.finish("a", numbers[at], verdicts[at])
    assert 0 < len(rig.delivered) < 50
    held = len([*rig.ordering.parcels()])
    assert held + len(rig.delivered) == 50
    other = rig.verdict("b")
    rig.ordering.finish("b", rig.ordering.start("b"), other)
    assert rig.delivered[-1] is other
    for _ in range(50):
        await asyncio.sleep(0)
    assert [*rig.ordering.parcels()] == []
    rig.delivered.remove(other)
    assert rig.delivered == verdicts
