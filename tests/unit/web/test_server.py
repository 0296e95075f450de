import asyncio
import re
import socket
from collections.abc import AsyncIterator
from importlib.resources import files

import aiohttp
import orjson
import pytest

from geoweir.errors import ConfigurationError
from geoweir.web.server import HttpServer
from geoweir.web.status import Condition
from support.status import QuietService

DATA_PATHS = ["/metrics", "/api/account", "/api/overview", "/api/state"]
PAGE_PATHS = ["/", "/status.js", "/status.css", "/icon.svg"]
HEALTH_PATHS = ["/healthz", "/readyz"]
EVERY_PATH = [*DATA_PATHS, *PAGE_PATHS, *HEALTH_PATHS]


@pytest.fixture
def service() -> QuietService:
    return QuietService()


@pytest.fixture
async def server(service: QuietService) -> AsyncIterator[HttpServer]:
    async with HttpServer("127.0.0.1", 0, service) as opened:
        yield opened


@pytest.fixture
async def client(server: HttpServer) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(server.url) as session:
        yield session


async def talk(server: HttpServer, request: bytes) -> bytes:
    """What the server says to these bytes until it closes the connection."""
    port = int(server.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.parametrize("path", EVERY_PATH)
async def test_every_page_is_served_with_the_security_headers(
    client: aiohttp.ClientSession, path: str
) -> None:
    async with client.get(path) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'self';")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Server"] == "geoweir"
        assert await answer.read()


@pytest.mark.parametrize("path", EVERY_PATH)
async def test_head_is_get_without_a_body(client: aiohttp.ClientSession, path: str) -> None:
    async with client.head(path) as answer:
        assert answer.status == 200
        assert await answer.read() == b""


async def test_the_account_has_the_shape_of_the_contract(client: aiohttp.ClientSession) -> None:
    async with client.get("/api/account") as answer:
        assert answer.content_type == "application/json"
        assert orjson.loads(await answer.read()) == {
            "streams": {
                "buses": {
                    "received": 0, "published": 0, "filtered": 0, "rejected": 0,
                    "reconciled": 0, "in_flight": 0, "redelivered": 0,
                }
            },
            "unaccounted": 0,
        }  # fmt: skip


async def test_metrics_say_their_format(client: aiohttp.ClientSession) -> None:
    async with client.get("/metrics") as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert b'geoweir_build_info{version="1.2.3"} 1.0' in await answer.read()


async def test_not_live_is_503_with_the_cause(
    client: aiohttp.ClientSession, service: QuietService
) -> None:
    service.is_live = False

    async with client.get("/healthz") as answer:
        assert answer.status == 503
        assert await answer.json() == {"live": False, "since": 2.0, "detail": "chunk 7 hangs"}


async def test_not_ready_is_503_and_names_each_condition(
    client: aiohttp.ClientSession, service: QuietService
) -> None:
    service.conditions.append(Condition("workers-up", ok=False, since=3.0, detail="0 of 2"))

    async with client.get("/readyz") as answer:
        assert answer.status == 503
        body = await answer.json()
    assert not body["ready"]
    assert body["conditions"][1] == {
        "name": "workers-up", "ok": False, "since": 3.0, "detail": "0 of 2"
    }  # fmt: skip


@pytest.mark.parametrize("path", ["/api/nothing", "/nothing", "/../server.py", "/%2e%2e/server.py"])
async def test_what_is_not_there_is_404_as_json(client: aiohttp.ClientSession, path: str) -> None:
    async with client.get(path) as answer:
        assert answer.status == 404
        assert await answer.json() == {"error": "no such page"}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_only_get_and_head_are_allowed(client: aiohttp.ClientSession, method: str) -> None:
    async with client.request(method, "/api/account", data=b"x" * 100_000) as answer:
        assert answer.status == 405
        assert answer.headers["Allow"] == "GET, HEAD"


async def test_t28_a_foreign_host_is_misdirected(client: aiohttp.ClientSession) -> None:
    async with client.get("/api/account", headers={"Host": "evil.example"}) as answer:
        assert answer.status == 421
        assert "streams" not in await answer.text()


async def test_a_request_without_a_host_is_misdirected(server: HttpServer) -> None:
    answer = await talk(server, b"GET /api/account HTTP/1.0\r\n\r\n")

    assert answer.startswith(b"HTTP/1.0 421 ")


async def test_a_fault_of_ours_shows_no_inside(
    client: aiohttp.ClientSession, service: QuietService
) -> None:
    service.is_broken = True

    async with client.get("/api/account") as answer:
        assert answer.status == 500
        assert "secret" not in await answer.text()
    async with client.get("/healthz") as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
    ],
)
async def test_what_cannot_be_read_is_400_as_json(server: HttpServer, request_bytes: bytes) -> None:
    answer = await talk(server, request_bytes)

    assert answer.startswith(b"HTTP/1.0 400 ")
    assert b'{"error":"the request could not be read"}' in answer
    assert b"aiohttp" not in answer


async def test_a_body_is_refused_unread(server: HttpServer) -> None:
    head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n"

    answer = await talk(server, head)

    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_t28_more_idle_sockets_than_the_bound_do_not_keep_a_health_check_out(
    server: HttpServer, client: aiohttp.ClientSession
) -> None:
    port = int(server.url.rpartition(":")[2])
    idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(300)]

    async with client.get("/healthz") as answer:
        assert answer.status == 200
    # The oldest were closed to make room.
    assert await idle[0][0].read() == b""

    for _, writer in idle:
        writer.close()


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a"])
async def test_a_connection_without_a_complete_request_is_closed(
    service: QuietService, sent: bytes
) -> None:
    async with HttpServer("127.0.0.1", 0, service, idle_s=0.05) as server:
        assert await talk(server, sent) == b""


@pytest.mark.parametrize("path", DATA_PATHS)
async def test_a_token_guards_what_shows_data(service: QuietService, path: str) -> None:
    guarded = HttpServer("127.0.0.1", 0, service, token="right")  # noqa: S106
    async with guarded, aiohttp.ClientSession(guarded.url) as client:
        for given in (None, "Bearer wrong", "Bearer", "Basic right", "Bearer \xff"):
            headers = {"Authorization": given} if given else {}
            async with client.get(path, headers=headers) as answer:
                assert answer.status == 401, given
        async with client.get(path, headers={"Authorization": "bearer right"}) as answer:
            assert answer.status == 200


@pytest.mark.parametrize("path", HEALTH_PATHS + PAGE_PATHS)
async def test_health_and_the_page_need_no_token(service: QuietService, path: str) -> None:
    guarded = HttpServer("127.0.0.1", 0, service, token="right")  # noqa: S106
    async with (
        guarded,
        aiohttp.ClientSession(guarded.url) as client,
        client.get(path) as answer,
    ):
        assert answer.status == 200


async def test_a_used_port_is_one_clear_line(service: QuietService) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError) as caught:
            async with HttpServer("127.0.0.1", port, service):
                pass

    assert str(caught.value) == (
        f"http.listen: 127.0.0.1:{port} can't be listened on: another program uses it. "
        "Stop that program, or choose another port."
    )


async def test_an_address_of_another_machine_is_one_clear_line(service: QuietService) -> None:
    with pytest.raises(ConfigurationError, match="no such address"):
        async with HttpServer("192.0.2.1", 0, service):
            pass


async def test_the_port_is_free_after_the_end(service: QuietService) -> None:
    async with HttpServer("127.0.0.1", 0, service) as first:
        port = int(first.url.rpartition(":")[2])
    async with HttpServer("127.0.0.1", port, service) as second:
        assert second.url == f"http://127.0.0.1:{port}"


async def test_the_url_is_one_that_a_browser_here_can_open(service: QuietService) -> None:
    async with HttpServer("0.0.0.0", 0, service) as server:
        assert re.fullmatch(r"http://127\.0\.0\.1:[1-9]\d*", server.url)


def test_the_page_holds_no_inline_script_or_style() -> None:
    html = (files("geoweir.web") / "static" / "index.html").read_text()

    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|https?://", html)
    assert re.findall(r"<script[^>]*>(.*?)</script>", html, re.DOTALL) == [""]


def test_t29_the_pages_script_sets_text_only() -> None:
    script = (files("geoweir.web") / "static" / "status.js").read_text()

    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", script)


def test_the_script_finds_every_element_it_asks_for() -> None:
    static = files("geoweir.web") / "static"
    asked = re.findall(r'(?:at|show)\("([\w-]+)"', (static / "status.js").read_text())
    html = (static / "index.html").read_text()

    assert asked
    assert all(f'id="{name}"' in html for name in asked)


async def test_data_is_refreshed_before_it_is_shown_and_for_those_only_who_may_see_it(
    service: QuietService,
) -> None:
    asked: list[str] = []

    async def refresh() -> None:
        asked.append("")
        service.is_broken = False

    server = HttpServer("127.0.0.1", 0, service, token="t", refresh=refresh)  # noqa: S106
    async with server as opened, aiohttp.ClientSession(opened.url) as client:
        for path in ("/", "/healthz", "/readyz", "/api/account"):
            await (await client.get(path)).read()
        assert asked == []
        service.is_broken = True
        headers = {"Authorization": "Bearer t"}
        assert (await client.get("/api/account", headers=headers)).status == 200
        assert len(asked) == 1
