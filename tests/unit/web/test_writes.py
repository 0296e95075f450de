"""Who may change something over HTTP, and who may not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

import aiohttp
import pytest

from geoweir.core.kept import Selection
from geoweir.errors import StateError
from geoweir.stages.retries import Retried
from geoweir.store.sqlite import SqliteStore
from geoweir.web.kept import KeptPages
from geoweir.web.server import HttpServer
from geoweir.web.status import StoreState
from geoweir.web.writes import is_loopback
from support.keeping import drop, open_store
from support.status import QuietService

RETRY = "/api/kept/retry"
ALL = b'{"all": true}'
JSON = {"Content-Type": "application/json"}


class Asked:
    """Retries that are noted and not done."""

    def __init__(self) -> None:
        self.selections: list[Selection] = []
        self.failure: StateError | None = None

    async def retry(self, selection: Selection) -> Retried:
        if self.failure is not None:
            raise self.failure
        self.selections.append(selection)
        return Retried(taken=2, skipped=1, after=7, up_to=9, more=True)


def store_state() -> StoreState:
    return QuietService().now()["store"]


def server_of(
    asked: Asked, store: SqliteStore, host: str = "127.0.0.1", token: str | None = None
) -> HttpServer:
    kept = KeptPages(store, asked.retry, store_state)
    return HttpServer(host, 0, QuietService(), kept=kept, token=token)


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
async def store() -> AsyncIterator[SqliteStore]:
    async with open_store(None) as opened:
        yield opened


@pytest.fixture
async def client(asked: Asked, store: SqliteStore) -> AsyncIterator[aiohttp.ClientSession]:
    async with server_of(asked, store) as server, aiohttp.ClientSession(server.url) as session:
        yield session


async def test_a_retry_from_this_machine_is_done_and_says_where_to_go_on(
    client: aiohttp.ClientSession, asked: Asked
) -> None:
    body = b'{"ids": ["abcd"], "stream": "s", "since": 5, "after": 3, "up_to": 9}'
    async with client.post(RETRY, data=body, headers=JSON) as answer:
        assert answer.status == 200
        found = await answer.json()
    assert {name: found[name] for name in ("taken", "skipped", "after", "up_to", "more")} == {
        "taken": 2, "skipped": 1, "after": 7, "up_to": 9, "more": True
    }  # fmt: skip
    assert asked.selections == [Selection(ids=("abcd",), stream="s", since=5.0, after=3, up_to=9)]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({**JSON, "Origin": "http://evil.example"}, 403),
        ({**JSON, "Origin": "null"}, 403),
        ({**JSON, "Origin": "x" * 500}, 403),
        ({**JSON, "Sec-Fetch-Site": "cross-site"}, 403),
        ({**JSON, "Sec-Fetch-Site": "same-site"}, 403),
        ({**JSON, "Host": "evil.example"}, 421),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
    ],
)
async def test_t28_what_another_sites_page_can_make_a_browser_send_changes_nothing(
    client: aiohttp.ClientSession, asked: Asked, headers: Mapping[str, str], status: int
) -> None:
    async with client.post(RETRY, data=ALL, headers=headers) as answer:
        assert answer.status == status
    assert asked.selections == []


async def test_our_own_page_may(asked: Asked, store: SqliteStore) -> None:
    async with server_of(asked, store) as server, aiohttp.ClientSession() as client:
        headers = {**JSON, "Origin": server.url, "Sec-Fetch-Site": "same-origin"}
        async with client.post(server.url + RETRY, data=ALL, headers=headers) as answer:
            assert answer.status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
async def test_nothing_but_post_changes_anything(
    client: aiohttp.ClientSession, asked: Asked, method: str
) -> None:
    async with client.request(method, RETRY, data=ALL, headers=JSON) as answer:
        assert answer.status == 405
        assert answer.headers["Allow"] == "POST"
    assert asked.selections == []


async def test_a_body_must_have_a_length_and_be_small(
    client: aiohttp.ClientSession, asked: Asked
) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b'{"all": true}'

    async with client.post(RETRY, data=endless(), headers=JSON) as answer:
        assert answer.status == 411
    async with client.post(RETRY, data=b" " * 70_000, headers=JSON) as answer:
        assert answer.status == 413
    assert asked.selections == []


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{", b'"all"', b"{}", b'{"all": false}', b'{"ids": []}', b'{"idz": ["abcd"]}',
        b'{"ids": ["abc"]}', b'{"ids": ["ABCD"]}', b'{"ids": ["%%%%"]}', b'{"ids": [1]}',
        b'{"since": -1}', b'{"since": 1e300}', b'{"stream": 5}', b'{"all": 1}', b'{"after": -1}',
        b'{"all": true, "up_to": 1e3}', b"\xff", b"[" * 60_000,
    ],
)  # fmt: skip
async def test_a_body_that_means_nothing_is_400_and_changes_nothing(
    client: aiohttp.ClientSession, asked: Asked, body: bytes
) -> None:
    async with client.post(RETRY, data=body, headers=JSON) as answer:
        assert answer.status == 400
        assert set(await answer.json()) == {"error"}
    assert asked.selections == []


async def test_where_a_token_is_set_a_write_needs_it(asked: Asked, store: SqliteStore) -> None:
    async with (
        server_of(asked, store, token="right") as server,  # noqa: S106
        aiohttp.ClientSession(server.url) as client,
    ):
        for given, status in (("Bearer wrong", 401), ("", 401), ("Bearer right", 200)):
            headers = {**JSON, "Authorization": given}
            async with client.post(RETRY, data=ALL, headers=headers) as answer:
                assert answer.status == status
            async with client.get("/api/kept", headers=headers) as answer:
                assert answer.status == status
    assert len(asked.selections) == 1


async def test_without_a_token_nothing_is_changed_where_others_can_reach_it(
    asked: Asked, store: SqliteStore
) -> None:
    async with (
        server_of(asked, store, host="0.0.0.0") as server,
        aiohttp.ClientSession(server.url) as client,
        client.post(RETRY, data=ALL, headers=JSON) as answer,
    ):
        assert answer.status == 403
        assert "http.token_file" in (await answer.json())["error"]
    assert asked.selections == []


async def test_a_store_that_fails_is_503_and_says_why(
    client: aiohttp.ClientSession, asked: Asked
) -> None:
    asked.failure = StateError("io", "/x: the disk failed")
    async with client.post(RETRY, data=ALL, headers=JSON) as answer:
        assert answer.status == 503
        assert await answer.json() == {"error": "the state store: /x: the disk failed"}


async def test_where_nothing_is_kept_nobody_answers() -> None:
    async with (
        HttpServer("127.0.0.1", 0, QuietService()) as server,
        aiohttp.ClientSession(server.url) as client,
    ):
        async with client.get("/api/kept") as answer:
            assert answer.status == 501
        async with client.post(RETRY, data=ALL, headers=JSON) as answer:
            assert answer.status == 501


# What is only read.


async def test_kept_inputs_are_listed_page_by_page(
    client: aiohttp.ClientSession, store: SqliteStore
) -> None:
    await store.keep([drop(n, stream="s" if n % 2 else "t") for n in range(5)])
    after, topics = 0, []
    while True:
        query = f"/api/kept?limit=2&after={after}&stream=t&outcome=rejected&reason=json&since=0"
        async with client.get(query) as answer:
            body = await answer.json()
        topics += [one["topic"] for one in body["kept"]]
        after = body["after"]
        if not body["more"]:
            break
    assert topics == ["in/0", "in/2", "in/4"]
    assert set(body["kept"][0]) == {
        "id", "stream", "topic", "outcome", "reason", "detail", "received", "dropped",
        "attempts", "bytes",
    }  # fmt: skip
    assert body["store"]["works"] is True


async def test_one_is_shown_with_payload_and_headers_by_the_beginning_of_its_id(
    client: aiohttp.ClientSession, store: SqliteStore
) -> None:
    await store.keep([drop(payload=b"\0\xff"), drop("\ud800")])
    for one in await store.find(Selection(), most=9):
        async with client.get(f"/api/kept/{one.id[:12]}") as answer:
            body = await answer.json()
        assert body["headers"] == [["h", "v"]]
        assert body["id"] == one.id
    async with client.get("/api/kept/0123456789abcdef01234567") as answer:
        assert answer.status == 404


@pytest.mark.parametrize(
    "path",
    [
        "?limit=0x", "?limit=1001", "?limit=-1", "?since=nan", "?since=x", "?until=-1",
        "?until=1e99", "?outcome=published", "?id=xyz", "?after=1e3", "/abc", "/ABCD", "/%00",
        "/" + "a" * 25,
    ],
)  # fmt: skip
async def test_a_question_that_means_nothing_is_400(
    client: aiohttp.ClientSession, path: str
) -> None:
    async with client.get(f"/api/kept{path}") as answer:
        assert answer.status == 400


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True),
        ("0.0.0.0", False), ("::", False), ("", False), ("gateway", False), ("10.0.0.1", False),
    ],
)  # fmt: skip
def test_loopback_is_what_only_this_machine_reaches(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
