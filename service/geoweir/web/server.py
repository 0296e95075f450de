"""The HTTP server: health, metrics, the account, the plain status page, and streams of events.

It answers GET and HEAD, and changes nothing but on the paths of ``web.kept``. Where a token is set,
everything that shows data needs it; the health checks and the page's own files don't. What changes
something needs it always, unless the service listens on this machine alone.
"""

from __future__ import annotations

import asyncio
import errno
import hmac
import logging
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping
from importlib.resources import files
from types import MappingProxyType, TracebackType
from typing import Any, Final, Self

import orjson
from aiohttp import web

from geoweir.errors import ConfigurationError
from geoweir.telemetry.exposition import CONTENT_TYPE
from geoweir.telemetry.log import LOGGER, write
from geoweir.web.connections import HEADERS, IDLE_S, BoundedServer, problem
from geoweir.web.hosts import HostList
from geoweir.web.kept import ITEM, LIST, MOST_BODY, RETRY, AnswersKept
from geoweir.web.status import Condition, Status
from geoweir.web.tap import Tap
from geoweir.web.writes import is_loopback, refuse_write

__all__ = ["HttpServer"]

_STATIC: Final = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/status.js": ("status.js", "text/javascript; charset=utf-8"),
    "/status.css": ("status.css", "text/css; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
_JSON: Final = "application/json"
_SHUTDOWN_S: Final = 1.0
_BODY_S: Final = 10.0  # for a request's body

_Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
_WHY: Final = {
    errno.EADDRINUSE: "another program uses it. Stop that program, or choose another port.",
    errno.EACCES: "the system reserves it. Choose a port above 1023.",
    errno.EADDRNOTAVAIL: "this machine has no such address. Choose one that it has.",
}


class HttpServer:
    """Serves one ``Status`` between ``async with`` and its end.

    Args:
        host: the address to listen on.
        port: 0 for any that is free.
        status: what is shown.
        tap: where set, who serves the features that go through.
        kept: where set, who answers for the dropped inputs that are kept.
        token: where set, ``Authorization: Bearer TOKEN`` is needed for everything that shows data.
        allowed_hosts: further names that requests may be addressed to (see ``hosts``).
        idle_s: how long a connection may go without a complete request.
        refresh: awaited before data is shown, where the status is about other processes.
        pages: further ones, by path: what makes each one's JSON.
    """

    def __init__(
        self,
        host: str,
        port: int,
        status: Status,
        *,
        tap: Tap | None = None,
        kept: AnswersKept | None = None,
        token: str | None = None,
        allowed_hosts: Iterable[str] = (),
        idle_s: float = IDLE_S,
        refresh: Callable[[], Awaitable[None]] | None = None,
        pages: Mapping[str, Callable[[], Awaitable[Any]]] = MappingProxyType({}),
    ) -> None:
        self._host = host
        self._port = port
        self._status = status
        self._token = token.encode() if token else None
        self._hosts = HostList(host, allowed_hosts)
        self._idle_s = idle_s
        self._refresh = refresh
        self._runner: web.ServerRunner | None = None
        self._static: dict[str, tuple[bytes, str]] = {}
        self._data: dict[str, Callable[[], web.Response]] = {
            "/metrics": lambda: _answer(status.metrics(), CONTENT_TYPE),
            "/api/account": lambda: _json(status.account()),
            "/api/overview": lambda: _json({**status.overview(), "account": status.account()}),
            "/api/state": lambda: _json(status.now()),
        }
        self._kept: _Answer = _no_kept if kept is None else kept.answer
        self._live: dict[str, _Answer] = {
            "/api/tap": _no_tap if tap is None else tap.answer,
            LIST: self._kept,
            **{path: _page(make) for path, make in pages.items()},
        }
        self._health: dict[str, Callable[[], web.Response]] = {
            "/healthz": lambda: _live(status.alive()),
            "/readyz": lambda: _ready(status.ready()),
        }

    def __repr__(self) -> str:
        return f"<HttpServer {self.url} {'open' if self._runner else 'closed'}>"

    @property
    def url(self) -> str:
        """Where a browser on this machine finds the page, with the real port when it is open."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(self._host, self._host)  # noqa: S104 - compared, not bound
        return f"http://[{host}]:{self._port}" if ":" in host else f"http://{host}:{self._port}"

    async def __aenter__(self) -> Self:
        """Listens; ConfigurationError where it can't."""
        self._static = {path: (_file(name), kind) for path, (name, kind) in _STATIC.items()}
        runner = web.ServerRunner(
            BoundedServer(self._handle, idle_s=self._idle_s),
            handle_signals=False,
            shutdown_timeout=_SHUTDOWN_S,
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port).start()
        except OSError as error:
            await runner.cleanup()
            raise ConfigurationError(self._refusal(error)) from error
        self._runner = runner
        self._port = runner.addresses[0][1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes every connection."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def _refusal(self, error: OSError) -> str:
        if isinstance(error, socket.gaierror):
            why = "the name has no address. Write an address of this machine."
        else:
            # From Python 3.12 on asyncio leaves out the number where no address can be bound.
            why = _WHY.get(error.errno or errno.EADDRNOTAVAIL, f"{error.strerror}.")
        return f"http.listen: {self._host}:{self._port} can't be listened on: {why}"

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request; a fault of ours is logged and shown without its inside."""
        try:
            return await self._respond(request)
        except Exception:  # noqa: BLE001 - whatever failed, the connection gets an answer
            write(LOGGER, logging.ERROR, "http-failed", path=request.path)
            LOGGER.debug("http-failed", exc_info=True)
            return problem(500, "the service failed to answer; its log says why")

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        if refusal := self._refuse(request):
            return refusal
        path = request.path
        if path in self._static:
            return _answer(*self._static[path])
        if path in self._health:
            return self._health[path]()
        return await (self._write if path == RETRY else self._read)(request)

    async def _read(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        answers = self._kept if path.startswith(ITEM) else self._live.get(path)
        if path not in self._data and answers is None:
            return problem(404, "no such page")
        if not self._may_see(request):
            return _no_token()
        if self._refresh is not None:
            await self._refresh()
        return self._data[path]() if answers is None else await answers(request)

    async def _write(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._token is None and not is_loopback(self._host):
            return problem(403, "nothing is changed without a token here: set http.token_file")
        if not self._may_see(request):
            return _no_token()
        try:
            async with asyncio.timeout(_BODY_S):
                await request.read()  # kept by the request
        except TimeoutError:
            return problem(408, "the body did not come")
        return await self._kept(request)

    def _refuse(self, request: web.BaseRequest) -> web.Response | None:
        """What is wrong with a request before its path matters."""
        if not self._hosts.allows(request.headers.get("Host", "")):
            return problem(421, "this service does not go by that name")
        if request.path == RETRY:
            answer = refuse_write(request, most_bytes=MOST_BODY)
            if answer is None:
                return None
        elif request.method not in {"GET", "HEAD"}:
            answer = problem(405, "only GET and HEAD")
            answer.headers["Allow"] = "GET, HEAD"
        elif request.body_exists:
            answer = problem(413, "a request has no body here")
        else:
            return None
        # What else the client sends is not read.
        answer.force_close()
        return answer

    def _may_see(self, request: web.BaseRequest) -> bool:
        if self._token is None:
            return True
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        sent = given.strip().encode(errors="surrogateescape")
        return scheme.lower() == "bearer" and hmac.compare_digest(sent, self._token)


def _file(name: str) -> bytes:
    return (files("geoweir.web") / "static" / name).read_bytes()


def _answer(body: bytes, content_type: str, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, headers={**HEADERS, "Content-Type": content_type})


def _page(make: Callable[[], Awaitable[Any]]) -> _Answer:
    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        return _json(await make())

    return answer


def _json(value: object, status: int = 200) -> web.Response:
    return _answer(orjson.dumps(value), _JSON, status)


def _live(condition: Condition) -> web.Response:
    body = {"live": condition.ok, "since": condition.since, "detail": condition.detail}
    return _json(body, 200 if condition.ok else 503)


def _ready(conditions: list[Condition]) -> web.Response:
    is_ready = all(condition.ok for condition in conditions)
    body: dict[str, Any] = {"ready": is_ready, "conditions": conditions}
    return _json(body, 200 if is_ready else 503)


def _no_token() -> web.Response:
    answer = problem(401, "this needs Authorization: Bearer TOKEN (http.token_file)")
    answer.headers["WWW-Authenticate"] = 'Bearer realm="geoweir"'
    return answer


async def _no_kept(request: web.BaseRequest) -> web.Response:
    del request
    return problem(501, "nothing is kept here")


async def _no_tap(request: web.BaseRequest) -> web.Response:
    del request
    return problem(501, "several processes run here (--processes), which can't be tapped as one")
