"""``/api/tap``: columns as server-sent events, bounded like everything else that is served."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

import aiohttp
import orjson
import pytest

from geoweir.core.account import Account
from geoweir.core.outcome import Outcome
from geoweir.core.work import Sightings
from geoweir.telemetry.observers import MOST_WATCHERS, Observers
from geoweir.web.server import HttpServer
from geoweir.web.tap import CONTENT_TYPE, Tap
from support.eventually import until
from support.parcels import working
from support.status import QuietService


class Rig:
    """A server whose streams the test fills."""

    def __init__(self, *, beat_s: float = 10.0, stalled_s: float = 60.0) -> None:
        self.observers = Observers(["buses", "ships"], identify=lambda *_: [])
        self.tap = Tap(self.observers, beat_s=beat_s, stalled_s=stalled_s)
        self.account = Account(["buses"])
        self.ledger = self.account.open_lane("buses", "buses", 1, resumed=False)

    @asynccontextmanager
    async def served(self, **options: Any) -> AsyncIterator[HttpServer]:
        async with HttpServer("127.0.0.1", 0, QuietService(), tap=self.tap, **options) as server:
            yield server

    def show(
        self, ident: str, outcome: Outcome = Outcome.PUBLISHED, reason: str = "", *, count: int = 1
    ) -> None:
        parcel = working(self.account, self.ledger, 1)
        parcel.sightings = Sightings(
            "EPSG:4326", [0] * count, [ident] * count, [1.5] * count, [2.5] * count, [None] * count
        )
        self.observers.show(parcel, [0], outcome, reason)


@dataclass
class Events:
    """A client that reads events, beats included."""

    answer: aiohttp.ClientResponse

    async def next(self) -> tuple[str, dict[str, Any]]:
        lines = []
        while line := (await self.answer.content.readline()).rstrip(b"\n"):
            lines.append(line)
        if lines == [b":"]:
            return "beat", {}
        name, data = lines
        assert name.startswith(b"event: ")
        return name[7:].decode(), orjson.loads(data.removeprefix(b"data: "))

    async def skip_beats(self) -> tuple[str, dict[str, Any]]:
        while (event := await self.next())[0] == "beat":
            pass
        return event


@asynccontextmanager
async def following(server: HttpServer, query: str = "", **options: Any) -> AsyncIterator[Events]:
    async with (
        aiohttp.ClientSession(server.url) as session,
        session.get(f"/api/tap{query}", **options) as answer,
    ):
        assert answer.status == 200, await answer.read()
        events = Events(answer)
        assert await events.next() == ("beat", {})
        yield events


async def test_a_chunk_is_one_event_in_columns() -> None:
    rig = Rig()
    async with rig.served() as server, following(server, "?stream=buses") as events:
        assert events.answer.headers["Content-Type"] == CONTENT_TYPE
        assert events.answer.headers["Cache-Control"] == "no-store"
        rig.show("bus\x1b 1")
        name, body = await events.next()
        assert name == "seen"
        assert body.pop("at") > 1.7e9
        assert body == {
            "missed": 0, "stream": "buses", "outcome": "published", "reason": "",
            "crs": "EPSG:4326", "ids": ["bus\x1b 1"], "topics": ["in/0"], "x": [1.5], "y": [2.5],
            "times": [None],
        }  # fmt: skip


async def test_an_outcome_filters_and_a_limit_ends() -> None:
    rig = Rig()
    async with (
        rig.served() as server,
        following(server, "?stream=buses&outcome=rejected&limit=2") as events,
    ):
        for ident in "abc":
            rig.show(ident)
            rig.show(ident, Outcome.REJECTED, "json")
        seen = [await events.next() for _ in range(3)]
        assert [body.get("ids") for _, body in seen] == [["a"], ["b"], None]
        assert seen[2] == ("end", {"why": "limit", "missed": 0})
        assert await events.answer.content.read() == b""
    await until(lambda: not rig.observers.is_watched("buses"))


async def test_without_a_stream_all_are_shown() -> None:
    rig = Rig()
    async with rig.served() as server, following(server) as events:
        rig.show("a")
        assert (await events.next())[1]["ids"] == ["a"]


@pytest.mark.parametrize(
    ("query", "status", "error"),
    [
        ("?stream=busses", 404, 'no stream is named "busses". The nearest is "buses".'),
        ("?stream=zzz", 404, 'no stream is named "zzz". Streams: buses, ships.'),
        ("?outcome=lost", 400, "outcome: one of published, filtered, rejected, reconciled is"),
        ("?limit=0", 400, "limit: a number from 1 to 1000000000 is wanted"),
        ("?limit=-1", 400, "limit: a number"),
        ("?limit=%D9%A3", 400, "limit: a number"),
        ("?rate=10001", 400, "rate: a number from 1 to 10000 is wanted"),
    ],
)
async def test_what_cannot_be_had_is_one_clear_line(query: str, status: int, error: str) -> None:
    async with (
        Rig().served() as server,
        aiohttp.ClientSession(server.url) as session,
        session.get(f"/api/tap{query}") as answer,
    ):
        assert answer.status == status
        assert orjson.loads(await answer.read())["error"].startswith(error)


async def test_a_name_that_is_repeated_is_cut() -> None:
    async with (
        Rig().served() as server,
        aiohttp.ClientSession(server.url) as session,
        session.get("/api/tap?stream=" + "y" * 1500) as answer,
    ):
        assert len(await answer.read()) < 300


async def test_head_has_no_events_and_watches_nothing() -> None:
    rig = Rig()
    async with rig.served() as server, aiohttp.ClientSession(server.url) as session:
        async with session.head("/api/tap") as answer:
            assert (answer.status, answer.headers["Content-Type"]) == (200, CONTENT_TYPE)
        assert len(rig.observers) == 0


async def test_a_token_guards_the_events() -> None:
    rig = Rig()
    async with rig.served(token="right") as server, aiohttp.ClientSession(server.url) as session:  # noqa: S106
        async with session.get("/api/tap") as answer:
            assert answer.status == 401
        async with session.get("/api/tap", headers={"Host": "evil.example"}) as answer:
            assert answer.status == 421
        assert len(rig.observers) == 0
        async with following(server, headers={"Authorization": "Bearer right"}):
            assert len(rig.observers) == 1


async def test_without_a_tap_the_page_says_why() -> None:
    async with (
        HttpServer("127.0.0.1", 0, QuietService()) as server,
        aiohttp.ClientSession(server.url) as session,
        session.get("/api/tap") as answer,
    ):
        assert answer.status == 501


async def test_watchers_beyond_the_bound_are_told_so() -> None:
    rig = Rig()
    async with rig.served() as server, AsyncExitStack() as stack:
        for _ in range(MOST_WATCHERS):
            await stack.enter_async_context(following(server))
        async with aiohttp.ClientSession(server.url) as session:
            async with session.get("/api/tap") as answer:
                assert answer.status == 503
            async with session.get("/healthz") as answer:
                assert answer.status == 200


async def test_a_live_stream_outlasts_the_idle_limit_by_its_beats() -> None:
    rig = Rig(beat_s=0.05)
    async with rig.served(idle_s=0.01) as server, following(server) as events:
        for _ in range(5):
            assert await events.next() == ("beat", {})
        rig.show("a")
        assert (await events.skip_beats())[0] == "seen"


async def test_a_flood_of_connections_does_not_cut_a_live_stream() -> None:
    rig = Rig()
    async with rig.served() as server, following(server) as events:
        port = int(server.url.rpartition(":")[2])
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(300)]
        assert await idle[0][0].read() == b""
        rig.show("a")
        assert (await events.next())[1]["ids"] == ["a"]
        for _, writer in idle:
            writer.close()


async def test_who_leaves_is_a_watcher_no_longer_without_waiting_for_a_beat() -> None:
    rig = Rig(beat_s=600)
    async with rig.served() as server:
        async with following(server):
            assert rig.observers.is_watched("buses")
        await until(lambda: not rig.observers.is_watched("buses"))


class Stopped:
    """A client that asks and then reads nothing."""

    _ASKS = b"GET /api/tap?rate=10000 HTTP/1.1\r\nHost: localhost\r\n\r\n"

    def __init__(self, server: HttpServer) -> None:
        self._port = int(server.url.rpartition(":")[2])

    async def __aenter__(self) -> Self:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(self.socket, ("127.0.0.1", self._port))
        await loop.sock_sendall(
            self.socket, b"GET /api/tap?rate=10000 HTTP/1.1\r\nHost: localhost\r\n\r\n"
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self.socket.close()


async def stuff(rig: Rig, holds: Callable[[], bool]) -> None:
    """Shows many features with long ids until something holds."""
    async with asyncio.timeout(60):
        while not holds():
            rig.show("\N{PILE OF POO}" * 128, count=200)
            await asyncio.sleep(0.001)


def connections(server: HttpServer) -> int:
    assert server._runner is not None
    assert server._runner.server is not None
    return len(server._runner.server.connections)


@pytest.mark.parametrize("is_noticed_by_the_kernel", [True, False])
async def test_who_takes_nothing_is_cut_off(
    monkeypatch: pytest.MonkeyPatch,
    is_noticed_by_the_kernel: bool,  # which depends on its version
) -> None:
    if not is_noticed_by_the_kernel:
        monkeypatch.setattr("geoweir.web.tap._notice_dead_peer", lambda *_: None)
    rig = Rig(stalled_s=0.2)
    async with rig.served() as server, Stopped(server), following(server) as other:
        await until(lambda: len(rig.observers) == 2)

        async def read() -> None:
            while True:
                await other.next()

        reading = asyncio.ensure_future(read())
        await stuff(rig, lambda: len(rig.observers) == 1)
        await until(lambda: connections(server) == 1)
        assert not reading.done()
        reading.cancel()


async def test_the_end_is_told_and_waits_for_nobody() -> None:
    rig = Rig(stalled_s=600)
    async with rig.served() as server, following(server) as events, Stopped(server):
        await until(lambda: len(rig.observers) == 2)
        rig.show("last")
        rig.tap.close("the service is ending")
        assert (await events.next())[1]["ids"] == ["last"]
        assert await events.next() == ("end", {"why": "the service is ending", "missed": 0})
        async with following(server) as late:
            assert (await late.next())[0] == "end"
        await until(lambda: len(rig.observers) == 0)


async def test_the_end_comes_in_the_middle_of_a_send_that_nobody_takes() -> None:
    rig = Rig(stalled_s=600)
    async with rig.served() as server, Stopped(server):
        await until(lambda: len(rig.observers) == 1)
        await stuff(rig, lambda: bool(rig.tap._sending))
        rig.tap.close("the service is ending")
        await until(lambda: len(rig.observers) == 0)
