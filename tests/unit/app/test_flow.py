"""The data path as a whole, at its end; nothing of it is connected."""

from __future__ import annotations

import asyncio

from geoweir.app.service import Service
from geoweir.core.account import Event
from geoweir.core.spec import StreamSpec
from geoweir.mqtt.options import BrokerOptions
from geoweir.settings.values import MqttSettings, Settings
from support.parcels import received


async def test_what_would_not_come_again_is_held_until_its_reconciliation_is_answered() -> None:
    settings = Settings(mqtt=MqttSettings(), streams=(StreamSpec(name="s", subscribe=("in/#",)),))
    service = Service(settings, BrokerOptions(host="nowhere", port=1))
    flow = service._flow
    ledger = flow.account.open_lane("s", "s", 1, resumed=False)
    parcel = received(flow.account, ledger, 3, flags=0)
    flow.account.advance(ledger, parcel.positions, Event.QUEUE)
    await flow.weir.put(parcel)
    async with asyncio.TaskGroup() as tasks:
        service._tasks = tasks
        flow.give_back()
        held = flow.held()
        for task in service._spawned:
            task.cancel()
    assert held == {"s": 3}
    assert flow.account.unaccounted(held) == 0
