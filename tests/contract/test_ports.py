"""What every implementation of Inlet and Outlet promises, on real brokers."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

import pytest

from geoweir.core.lane import DURABLE, REPEATED, Batch, LaneClosed, LaneOpened
from geoweir.errors import BrokerError
from geoweir.mqtt.inlet import MqttInlet
from geoweir.mqtt.link import Greeting
from geoweir.mqtt.options import BrokerOptions, OnLink, TlsFiles
from geoweir.mqtt.outlet import MqttOutlet
from geoweir.ports import Outgoing, Refusal
from support.certificates import Certificates
from support.mosquitto import Mosquitto, free_port, mosquitto
from support.rumqttd import Rumqttd, rumqttd

#: The fast link plain and under TLS, and aiomqtt's two ways.
Way = Literal["stream", "stream-tls", "aiomqtt-3.1.1", "aiomqtt-5-websockets"]
WAYS: tuple[Way, ...] = ("stream", "stream-tls", "aiomqtt-3.1.1", "aiomqtt-5-websockets")


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

    def __init__(
        self, broker: Mosquitto | Rumqttd, way: Way = "stream", authority: str | None = None
    ) -> None:
        self.broker = broker
        self.way = way
        self.authority = authority
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
        return BrokerOptions(
            host="127.0.0.1",
            port=self.broker.port,
            protocol="3.1.1" if self.way == "aiomqtt-3.1.1" else "5",
            transport="websockets" if self.way.endswith("websockets") else "tcp",
            tls=TlsFiles(ca=self.authority) if self.way == "stream-tls" else None,
        )

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


@pytest.fixture(params=WAYS)
async def bench(
    request: pytest.FixtureRequest, tmp_path: Path, certificates: Certificates
) -> AsyncIterator[Bench]:
    port, way = free_port(), request.param
    extra = f"listener {port} 127.0.0.1\n"
    if way == "stream-tls":
        extra += f"certfile {certificates.chain}\nkeyfile {certificates.key}\n"
    if way.endswith("websockets"):
        # mosquitto 2.0.21 does not start without a listener of another kind.
        extra += f"protocol websockets\nlistener 0 {tmp_path}/plain\n"
    with mosquitto(tmp_path, extra=extra, port=port) as broker:
        async with Bench(broker, way, str(certificates.authority)) as made:
            yield made


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates.make(tmp_path_factory.mktemp("certificates"))


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


async def test_t35_a_renewed_connection_ends_when_all_is_settled_and_nothing_comes_twice(
    bench: Bench,
) -> None:
    tap, outlet = await bench.inlet(), await bench.outlet()
    await outlet.send(numbered(20))
    await tap.until(lambda: len(tap.payloads()) == 20)
    tap.inlet.settle("in", 1, 11)
    tap.inlet.renew()
    outlet.renew()
    assert await outlet.send([Outgoing("in/x", b"new")]) == [None]  # by the new connection
    assert len(tap.epochs()) == 1, "it left before everything was settled"
    tap.inlet.settle("in", 1, 19)
    await tap.until(lambda: len(tap.payloads()) > 20)
    assert tap.payloads() == [*texts(20), b"new"]
    assert [event.resumed for event in tap.epochs()] == [False, True]


async def test_t35_a_renewal_while_it_connects_is_done_when_it_has_subscribed(bench: Bench) -> None:
    tap = await bench.inlet()
    connected, outlet = tap.inlet.connected, await bench.outlet(name="other")

    def renewed_at_once(greeting: Greeting) -> None:
        connected(greeting)
        if len(tap.epochs()) == 1:
            tap.inlet.renew()
            outlet.renew()

    tap.inlet.connected = renewed_at_once  # type: ignore[method-assign]
    bench.broker.end()
    bench.broker.start()
    await tap.until(lambda: len(tap.epochs()) == 3)
    assert await outlet.send([Outgoing("in/x", b"new")]) == [None]
    await tap.until(lambda: bool(tap.payloads()))
    assert tap.payloads() == [b"new"]


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


async def test_a_flow_that_piled_up_does_not_hold_up_another(bench: Bench) -> None:
    tap, outlet = await bench.inlet(size=10**8, window=5000), await bench.outlet(window=20)
    flood = outlet.send([Outgoing("in/flood", str(n).encode()) for n in range(1500)], flow="flood")
    calm = outlet.send([Outgoing("in/calm", str(n).encode()) for n in range(10)], flow="calm")
    assert await calm == [None] * 10
    assert not flood.done()
    await flood
    await tap.until(lambda: len(tap.payloads()) == 1510)
    seen = [
        (address, int(payload))
        for event in tap.seen
        if isinstance(event, Batch)
        for address, payload in zip(event.addresses, event.payloads, strict=True)
    ]
    assert [n for address, n in seen if address == "in/flood"] == list(range(1500))
    assert [n for address, n in seen if address == "in/calm"] == list(range(10))


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
    messages = [*numbered(3), Outgoing("control/\x01/byte", b"x"), *numbered(3)]
    async with asyncio.timeout(60):
        answers = await outlet.send(messages)
    assert [isinstance(answer, Refusal) for answer in answers] == [False] * 3 + [True] + [False] * 3


async def test_user_properties_and_content_type_arrive_with_mqtt_5(bench: Bench) -> None:
    if bench.way == "aiomqtt-3.1.1":
        pytest.skip("MQTT 3.1.1 has no properties")
    tap, outlet = await bench.inlet(), await bench.outlet()
    headers = (("traceparent", "00-1"), ("ort", "Zürich"))
    await outlet.send([Outgoing("in/x", b"1", 1, False, "text/plain", headers, "k")])
    await tap.until(lambda: bool(tap.payloads()))
    batch = next(e for e in tap.seen if isinstance(e, Batch))
    assert batch.headers == [(("geoweir-key", "k"), *headers)]


async def test_a_refused_publish_is_answered_with_its_reason(tmp_path: Path) -> None:
    acl = tmp_path / "acl"
    acl.write_text("topic readwrite open/#\n", encoding="utf-8")
    with mosquitto(tmp_path, extra=f"acl_file {acl}\n") as broker:
        async with Bench(broker) as bench:
            outlet = await bench.outlet()
            answers = await outlet.send([Outgoing("closed", b"1"), Outgoing("open/x", b"2")])
    assert isinstance(answers[0], Refusal)
    assert answers[0].code >= 0x80
    assert answers[1] is None


async def test_a_packet_over_the_brokers_limit_is_refused_and_never_sent(tmp_path: Path) -> None:
    with mosquitto(tmp_path, extra="max_packet_size 2000\n") as broker:
        async with Bench(broker) as bench:
            outlet = await bench.outlet()
            answers = await outlet.send([Outgoing("x", bytes(3000)), Outgoing("x", b"2")])
    assert isinstance(answers[0], Refusal)
    assert answers[1] is None
    assert "disconnected due to" not in broker.log.read_text()


async def test_a_payload_of_megabytes_goes_both_ways(bench: Bench) -> None:
    tap, outlet = await bench.inlet(size=10**8), await bench.outlet()
    # Through mosquitto's WebSockets a large packet crawls, by the second.
    largest = 60_000 if bench.way == "aiomqtt-5-websockets" else 3_000_000
    payloads = [bytes([n]) * size for n, size in enumerate((0, 1, 127, 128, 16_384, largest))]
    await outlet.send([Outgoing("in/x", payload) for payload in payloads])
    await tap.until(lambda: len(tap.payloads()) == len(payloads))
    assert tap.payloads() == payloads


async def test_a_full_input_keeps_its_connection_beyond_the_keep_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bench, "options", lambda self: _with_keepalive(self.broker.port, 1))
    with mosquitto(tmp_path) as broker:
        async with Bench(broker) as bench:
            tap, outlet = await bench.inlet(window=5), await bench.outlet()
            await outlet.send(numbered(20))
            await tap.until(lambda: len(tap.payloads()) == 5)
            await outlet.send([Outgoing("elsewhere", b"")])
            # The broker gives up on a client after one and a half keep-alives.
            await asyncio.sleep(3)
            for done in range(5, 25, 5):
                tap.inlet.settle("in", 1, done - 1)
                await tap.until(lambda: len(tap.payloads()) >= min(20, done + 5))  # noqa: B023
            assert [type(e) for e in tap.seen if not isinstance(e, Batch)] == [LaneOpened]
            assert tap.payloads() == texts(20)


async def test_a_broker_that_falls_silent_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bench, "options", lambda self: _with_keepalive(self.broker.port, 1))
    with mosquitto(tmp_path) as broker:
        async with Bench(broker) as bench:
            tap = await bench.inlet()
            broker.signal(signal.SIGSTOP)
            try:
                await tap.until(lambda: isinstance(tap.seen[-1], LaneClosed))
            finally:
                broker.signal(signal.SIGCONT)
            closed = tap.seen[-1]
            assert isinstance(closed, LaneClosed)
            assert closed.why.startswith("the broker was silent for ")


async def test_a_session_taken_over_says_so(tmp_path: Path) -> None:
    with mosquitto(tmp_path) as broker:
        async with Bench(broker) as bench:
            tap = await bench.inlet()
            other = await bench.inlet()
            await tap.until(lambda: any(isinstance(e, LaneClosed) for e in tap.seen))
            closed = next(e for e in tap.seen if isinstance(e, LaneClosed))
            assert "session taken over by another client of the same id" in closed.why
            await other.inlet.disconnect()


async def test_topics_get_aliases_where_the_broker_offers_them(tmp_path: Path) -> None:
    with mosquitto(tmp_path, extra="max_topic_alias 2\n") as broker:
        async with Bench(broker) as bench:
            tap, outlet = await bench.inlet(), await bench.outlet()
            topics = [f"in/{n % 4}" for n in range(40)]
            sent = [Outgoing(topic, str(n).encode()) for n, topic in enumerate(topics)]
            assert await outlet.send(sent) == [None] * 40
            await tap.until(lambda: len(tap.payloads()) == 40)
            seen = [a for e in tap.seen if isinstance(e, Batch) for a in e.addresses]
            assert (tap.payloads(), seen) == (texts(40), topics)


async def test_an_unknown_authority_ends_the_first_contact_clearly(
    tmp_path: Path, certificates: Certificates
) -> None:
    port = free_port()
    tls = f"listener {port} 127.0.0.1\ncertfile {certificates.chain}\nkeyfile {certificates.key}\n"
    with mosquitto(tmp_path, extra=tls, port=port):
        outlet = MqttOutlet(
            client_id="t",
            options=BrokerOptions(host="127.0.0.1", port=port, protocol="5", tls=TlsFiles()),
            on_link=follow(asyncio.Event()),
        )
        with pytest.raises(BrokerError, match="certificate"):
            await outlet.connect_once()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"\x30\x04\x00\x01t\x00", "messages before it accepted us"),
        (b"\x40\x02\x00\x01", "messages before it accepted us"),
        (b"\x20\x03\x00\x87\x00\x30\x04\x00\x01t\x00", "not authorized"),
        (b"\x20\x03\x00\x97\x00", "quota exceeded"),
        (b"\x20\x01\x00", "a CONNACK that does not fit"),
        (b"\x20\x05\x00\x00\x02\x24\x00", "QoS 0 only"),
        (b"\xff" * 10, "a length of more than four bytes"),
        (b"\x10\x00", "a packet of type 1"),
    ],
)
async def test_a_broker_that_breaks_the_protocol_gives_no_input_and_a_clear_cause(
    answer: bytes, why: str
) -> None:
    async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(answer)
        await reader.read(1000)
        writer.close()

    server = await asyncio.start_server(broken, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        said: asyncio.Queue[str] = asyncio.Queue()
        inlet = MqttInlet(
            lane="in",
            client_id="t",
            options=BrokerOptions(host="127.0.0.1", port=port, protocol="5"),
            filters=["in"],
            qos=1,
            window=10,
            window_bytes=1000,
            on_link=lambda *, up, why: said.put_nowait(f"{up} {why}"),
        )
        tap = Tap(inlet)
        tasks = [asyncio.ensure_future(inlet.run()), asyncio.ensure_future(tap.read())]
        async with asyncio.timeout(10):
            assert why in await said.get()
        await inlet.disconnect()
        await asyncio.gather(*tasks)
        assert [event for event in tap.seen if isinstance(event, Batch)] == []


async def test_a_connection_that_is_lost_before_the_subscription_is_made_again() -> None:
    connections, often = 0, asyncio.Event()

    async def hasty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        if connections == 3:
            often.set()
        await reader.read(1000)
        # Accepted, with an input of the session, and gone.
        writer.write(b"\x20\x03\x01\x00\x00" + b"\x32\x08\x00\x01t\x00\x01\x00in")
        writer.close()

    server = await asyncio.start_server(hasty, "127.0.0.1", 0)
    async with server:
        inlet = MqttInlet(
            lane="in",
            client_id="t",
            options=BrokerOptions(
                host="127.0.0.1", port=server.sockets[0].getsockname()[1], protocol="5"
            ),
            filters=["a", "b"],
            qos=1,
            window=1,  # full at once, so that reading is paused
            window_bytes=1000,
            on_link=lambda *, up, why: None,  # noqa: ARG005 - counted at the other end
        )
        running = asyncio.ensure_future(inlet.run())
        async with asyncio.timeout(8):
            await often.wait()
        await inlet.disconnect()
        await running


async def test_auto_falls_back_to_3_1_1_where_the_broker_knows_nothing_newer() -> None:
    async def old_broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello = await reader.read(1000)
        # Accepts version 4 only, and answers as MQTT 3.1.1 has it.
        writer.write(b"\x20\x02\x00" + (b"\x00" if hello[8] == 4 else b"\x01"))
        await writer.drain()
        await reader.read(1000)
        writer.close()

    server = await asyncio.start_server(old_broker, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        outlet = MqttOutlet(
            client_id="t",
            options=BrokerOptions(host="127.0.0.1", port=port),
            on_link=follow(asyncio.Event()),
        )
        await outlet.connect_once()
        assert not outlet.is_v5


async def test_the_fast_link_speaks_with_a_second_broker(tmp_path: Path) -> None:
    with rumqttd(tmp_path) as broker:
        async with Bench(broker) as bench:
            tap, outlet = await bench.inlet(window=50), await bench.outlet()
            keyed = [
                Outgoing("in/x", str(n).encode(), headers=(("n", str(n)),)) for n in range(500)
            ]
            sending = asyncio.ensure_future(outlet.send(keyed))
            done = 0
            while done < 500:
                await tap.until(lambda: len(tap.payloads()) > done)  # noqa: B023 - awaited here
                done = len(tap.payloads())
                # It cuts the connection at an acknowledgement that is out of order.
                tap.inlet.settle("in", 1, done - 1)
            assert await sending == [None] * 500
            assert tap.payloads() == texts(500)
            headers = [h for e in tap.seen if isinstance(e, Batch) for h in e.headers]
            assert headers == [(("n", str(n)),) for n in range(500)]
            assert len(tap.epochs()) == 1


def _with_keepalive(port: int, keepalive_s: int) -> BrokerOptions:
    return BrokerOptions(host="127.0.0.1", port=port, protocol="5", keepalive_s=keepalive_s)
