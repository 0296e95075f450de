"""What every implementation of Inlet and Outlet promises, on real brokers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

import pytest

from geoweir.core.lane import DURABLE, REPEATED, Batch, LaneClosed, LaneOpened
from geoweir.mqtt.inlet import MqttInlet
from geoweir.mqtt.options import BrokerOptions, OnLink
from geoweir.mqtt.outlet import MqttOutlet
from geoweir.ports import Outgoing, Refusal
from support.mosquitto import Mosquitto, mosquitto

Protocol = Literal["5", "3.1.1"]


@dataclass
class Tap:
    """An inlet with what came out of it."""

    inlet: MqttInlet
    seen: list[Batch | LaneOpened | LaneClosed] = field(default_factory=list)
    grown: asyncio.Event = field(default_factory=asyncio.Event)
    paused: list[bool] = field(default_factory=list)

    async def read(self) -> None:
        async for event in self.inlet.batches():
            self.seen.append(event)
            self.grown.set()

    def payloads(self) -> list[bytes]:
        return [p for e in self.seen if isinstance(e, Batch) for p in e.payloads]

    def epochs(self) -> list[LaneOpened]:
        return [e for e in self.seen if isinstance(e, LaneOpened)]

    async def until(self, holds: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(20):
                while not holds():
                    self.grown.clear()
                    await self.grown.wait()
        except TimeoutError:
            summary = [e if not isinstance(e, Batch) else e.payloads for e in self.seen]
            raise AssertionError(f"not in time: {self.inlet!r} saw {summary}"[:4000]) from None


def follow(event: asyncio.Event) -> OnLink:
    def link(*, up: bool, why: str) -> None:
        del why
        if up:
            event.set()
        else:
            event.clear()

    return link


class Bench:
    """Everything of one test, ended with it."""

    def __init__(self, broker: Mosquitto, protocol: Protocol) -> None:
        self.broker = broker
        self.protocol = protocol
        self.running: list[asyncio.Future[None]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self.running:
            task.cancel()
        for ended in await asyncio.gather(*self.running, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended

    def options(self) -> BrokerOptions:
        return BrokerOptions(host="127.0.0.1", port=self.broker.port, protocol=self.protocol)

    def keep(self, work: Awaitable[None]) -> None:
        self.running.append(asyncio.ensure_future(work))

    async def inlet(
        self, *, lane: str = "in", window: int = 1000, qos: int = 1, size: int = 10**7
    ) -> Tap:
        tap = Tap(None)  # type: ignore[arg-type]
        up = asyncio.Event()
        tap.inlet = MqttInlet(
            lane=lane,
            client_id=f"t-{lane}",
            options=self.options(),
            filters=[f"{lane}/#"],
            qos=qos,
            window=window,
            window_bytes=size,
            on_link=follow(up),
            on_paused=tap.paused.append,
        )
        self.keep(tap.inlet.run())
        self.keep(tap.read())
        async with asyncio.timeout(10):
            await up.wait()
        return tap

    async def reopen(self, tap: Tap) -> Tap:
        """Leaves the broker in order, and comes back with the same session."""
        await tap.inlet.disconnect()
        async with asyncio.timeout(5):
            await self.running[0]
        return await self.inlet()

    async def outlet(self, *, window: int = 100, name: str = "out") -> MqttOutlet:
        up = asyncio.Event()
        outlet = MqttOutlet(
            client_id=f"t-{name}",
            options=self.options(),
            window=window,
            on_link=follow(up),
        )
        self.keep(outlet.run())
        async with asyncio.timeout(10):
            await up.wait()
        return outlet


@pytest.fixture(params=["5", "3.1.1"])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    with mosquitto(tmp_path) as broker:
        async with Bench(broker, request.param) as made:
            yield made


def numbered(count: int, topic: str = "in/x", qos: int = 1) -> list[Outgoing]:
    return [Outgoing(topic, str(n).encode(), qos=qos) for n in range(count)]


def texts(count: int, start: int = 0) -> list[bytes]:
    return [str(n).encode() for n in range(start, count)]


async def test_inputs_come_in_order_with_positions_that_count_up(bench: Bench) -> None:
    tap, outlet = await bench.inlet(), await bench.outlet()
    assert await outlet.send(numbered(300)) == [None] * 300
    await tap.until(lambda: len(tap.payloads()) == 300)
    assert tap.payloads() == texts(300)
    batches = [e for e in tap.seen if isinstance(e, Batch)]
    positions = [p for b in batches for p in range(b.first, b.first + len(b))]
    assert positions == list(range(300))
    assert {f for b in batches for f in b.flags} == {DURABLE}
    assert isinstance(tap.seen[0], LaneOpened)


async def test_an_unsettled_window_stops_reading_and_settling_goes_on(bench: Bench) -> None:
    tap, outlet = await bench.inlet(window=10), await bench.outlet()
    await outlet.send(numbered(40))
    await tap.until(lambda: len(tap.payloads()) >= 10)
    await outlet.send([Outgoing("elsewhere", b"")])
    assert len(tap.payloads()) <= 12
    done = 0
    while done < 40:
        await tap.until(lambda: len(tap.payloads()) > done)  # noqa: B023 - awaited here
        done = len(tap.payloads())
        tap.inlet.settle("in", 1, done - 1)
    assert tap.payloads() == texts(40)
    assert tap.paused[0] is True


async def test_a_window_in_bytes_stops_reading_for_qos_0_too(bench: Bench) -> None:
    tap, outlet = await bench.inlet(qos=0, size=5000), await bench.outlet()
    await outlet.send([Outgoing("in/x", bytes(1000), qos=0) for _ in range(40)])
    await outlet.send([Outgoing("elsewhere", b"")])
    await tap.until(lambda: len(tap.payloads()) >= 5)
    await outlet.send([Outgoing("elsewhere", b"")])
    assert len(tap.payloads()) <= 6
    done = 0
    while done < 40:
        await tap.until(lambda: len(tap.payloads()) > done)  # noqa: B023 - awaited here
        done = len(tap.payloads())
        tap.inlet.settle("in", 1, done - 1)
    assert len(tap.payloads()) == 40


async def test_what_is_not_settled_comes_again_and_what_is_settled_does_not(bench: Bench) -> None:
    tap, outlet = await bench.inlet(), await bench.outlet()
    await outlet.send(numbered(20))
    await tap.until(lambda: len(tap.payloads()) == 20)
    tap.inlet.settle("in", 1, 11)
    # A DISCONNECT stands behind the acknowledgements on the wire: the broker has read them all.
    again = await bench.reopen(tap)
    await again.until(lambda: len(again.payloads()) == 8)
    assert again.payloads() == texts(20, 12)
    assert [event.resumed for event in again.epochs()] == [True]
    batches = [e for e in again.seen if isinstance(e, Batch)]
    assert batches[0].first == 0
    assert all(flag & REPEATED for batch in batches for flag in batch.flags)


async def test_a_broken_connection_brings_back_everything_in_a_new_epoch(bench: Bench) -> None:
    tap, outlet = await bench.inlet(), await bench.outlet()
    await outlet.send(numbered(20))
    await tap.until(lambda: len(tap.payloads()) == 20)
    bench.broker.end()
    bench.broker.start()
    await tap.until(lambda: len(tap.payloads()) == 40)
    assert tap.payloads()[20:] == texts(20)
    assert [event.resumed for event in tap.epochs()] == [False, True]


async def test_receipts_of_a_closed_epoch_confirm_nothing(bench: Bench) -> None:
    tap, outlet = await bench.inlet(), await bench.outlet()
    await outlet.send(numbered(5))
    await tap.until(lambda: len(tap.payloads()) == 5)
    bench.broker.end()
    bench.broker.start()
    await tap.until(lambda: len(tap.payloads()) == 10)
    tap.inlet.settle("in", 1, 4)
    await outlet.send([Outgoing("elsewhere", b"")])
    bench.broker.end()
    bench.broker.start()
    await tap.until(lambda: len(tap.payloads()) == 15)


async def test_an_epoch_closes_before_the_next_opens(bench: Bench) -> None:
    tap = await bench.inlet()
    bench.broker.end()
    bench.broker.start()
    await tap.until(lambda: len(tap.epochs()) == 2)
    kinds = [type(event) for event in tap.seen]
    assert kinds == [LaneOpened, LaneClosed, LaneOpened]


async def test_pause_stops_reading_and_resume_goes_on(bench: Bench) -> None:
    tap, outlet = await bench.inlet(), await bench.outlet()
    tap.inlet.pause()
    await outlet.send(numbered(20))
    await outlet.send([Outgoing("elsewhere", b"")])
    assert tap.payloads() == []
    tap.inlet.resume()
    await tap.until(lambda: len(tap.payloads()) == 20)


async def test_a_closed_inlet_ends_its_batches_and_still_settles(bench: Bench) -> None:
    tap, outlet = await bench.inlet(), await bench.outlet()
    await outlet.send(numbered(5))
    await tap.until(lambda: len(tap.payloads()) == 5)
    await tap.inlet.close()
    async with asyncio.timeout(5):
        await bench.running[1]
    tap.inlet.settle("in", 1, 4)
    await tap.inlet.disconnect()
    async with asyncio.timeout(5):
        await bench.running[0]
    tap = await bench.inlet()
    await outlet.send([Outgoing("in/x", b"new")])
    await tap.until(lambda: bool(tap.payloads()))
    assert tap.payloads() == [b"new"]


async def test_positions_settled_one_by_one_do_not_come_again(bench: Bench) -> None:
    tap, outlet = await bench.inlet(), await bench.outlet()
    await outlet.send(numbered(6))
    await tap.until(lambda: len(tap.payloads()) == 6)
    tap.inlet.settle_each("in", 1, [4, 2])
    tap.inlet.settle("in", 1, 0)
    again = await bench.reopen(tap)
    await again.until(lambda: len(again.payloads()) == 3)
    assert again.payloads() == [b"1", b"3", b"5"]


async def test_messages_sent_while_the_broker_is_away_arrive_once_each_in_order(
    bench: Bench,
) -> None:
    tap, outlet = await bench.inlet(), await bench.outlet()
    bench.broker.end()
    answers = outlet.send(numbered(50))
    bench.broker.start()
    async with asyncio.timeout(20):
        assert await answers == [None] * 50
    await tap.until(lambda: len(set(tap.payloads())) == 50)
    assert list(dict.fromkeys(tap.payloads())) == texts(50)


async def test_many_sends_leave_in_the_order_they_were_queued(bench: Bench) -> None:
    tap, outlet = await bench.inlet(), await bench.outlet(window=7)
    answers = [outlet.send([Outgoing("in/x", str(n).encode())]) for n in range(100)]
    assert await asyncio.gather(*answers) == [[None]] * 100
    await tap.until(lambda: len(tap.payloads()) == 100)
    assert tap.payloads() == texts(100)


@pytest.mark.parametrize("topic", ["", "a/+/b", "a/#", "x" * 65536])
async def test_a_topic_that_mqtt_cannot_carry_is_refused_and_the_rest_goes_on(
    bench: Bench, topic: str
) -> None:
    outlet = await bench.outlet()
    refused, fine = await outlet.send([Outgoing(topic, b"1"), Outgoing("fine", b"2")])
    assert isinstance(refused, Refusal)
    assert fine is None


async def test_a_message_that_cuts_the_connection_is_refused_and_the_rest_goes_on(
    bench: Bench,
) -> None:
    outlet = await bench.outlet()
    messages = [*numbered(3), Outgoing("nul/\0/byte", b"x"), *numbered(3)]
    async with asyncio.timeout(60):
        answers = await outlet.send(messages)
    assert [isinstance(answer, Refusal) for answer in answers] == [False] * 3 + [True] + [False] * 3


async def test_user_properties_and_content_type_arrive_with_mqtt_5(bench: Bench) -> None:
    if bench.protocol != "5":
        pytest.skip("MQTT 3.1.1 has no properties")
    tap, outlet = await bench.inlet(), await bench.outlet()
    await outlet.send([Outgoing("in/x", b"1", 1, False, "text/plain", (("traceparent", "00-1"),))])
    await tap.until(lambda: bool(tap.payloads()))
    batch = next(e for e in tap.seen if isinstance(e, Batch))
    assert batch.headers == [(("traceparent", "00-1"),)]


async def test_a_refused_publish_is_answered_with_its_reason(tmp_path: Path) -> None:
    acl = tmp_path / "acl"
    acl.write_text("topic readwrite open/#\n", encoding="utf-8")
    with mosquitto(tmp_path, extra=f"acl_file {acl}\n") as broker:
        async with Bench(broker, "5") as bench:
            outlet = await bench.outlet()
            answers = await outlet.send([Outgoing("closed", b"1"), Outgoing("open/x", b"2")])
    assert isinstance(answers[0], Refusal)
    assert answers[0].code >= 0x80
    assert answers[1] is None


async def test_a_packet_over_the_brokers_limit_is_refused_and_never_sent(tmp_path: Path) -> None:
    with mosquitto(tmp_path, extra="max_packet_size 2000\n") as broker:
        async with Bench(broker, "5") as bench:
            outlet = await bench.outlet()
            answers = await outlet.send([Outgoing("x", bytes(3000)), Outgoing("x", b"2")])
    assert isinstance(answers[0], Refusal)
    assert answers[1] is None
    assert "disconnected due to" not in broker.log.read_text()
