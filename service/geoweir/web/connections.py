"""The HTTP server's bounds: how many connections, how long each may idle, how much it may send."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson
from aiohttp import web

__all__ = ["HEADERS", "IDLE_S", "BoundedServer", "keep_open", "problem"]

#: How long a connection may go without a complete request.
IDLE_S: Final = 15.0

#: Sent with every answer.
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; style-src 'self'; object-src 'none'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Server": "geoweir",
}

_CONNECTIONS: Final = 128  # at once; beyond, the oldest is closed
_LINE_BYTES: Final = 2048  # request line
_HEADER_BYTES: Final = 4096  # one header
_HEADERS: Final = 64  # headers of a request


def problem(status: int, error: str) -> web.Response:
    """An error as JSON."""
    return web.Response(
        status=status,
        body=orjson.dumps({"error": error}),
        content_type="application/json",
        headers=HEADERS,
    )


def keep_open(request: web.BaseRequest) -> None:
    """Marks the request's connection as one that is in use for as long as it lasts."""
    if isinstance(request.protocol, _Connection):
        request.protocol.is_kept = True


class BoundedServer(web.Server):
    """aiohttp's low-level server with bounds.

    When the bound on connections is reached the oldest one is closed: a thousand idle sockets
    must not keep a health check out, so it is the idle that have to go, not the newcomer. Streams
    of events, which have a bound of their own, stay.
    """

    def __init__(
        self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], *, idle_s: float
    ) -> None:
        super().__init__(
            handler,
            handler_cancellation=True,  # who left needs no more events
            keepalive_timeout=idle_s,
            max_line_size=_LINE_BYTES,
            max_field_size=_HEADER_BYTES,
            max_headers=_HEADERS,
            lingering_time=0.0,
            access_log=None,
            auto_decompress=False,
        )

    def __call__(self) -> web.RequestHandler:
        """A protocol for one connection."""
        return _Connection(self, loop=self._loop, **self._kwargs)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Takes up a connection, and closes the oldest beyond the bound."""
        connections = self.connections
        if len(connections) >= _CONNECTIONS:
            idle = (c for c in connections if not (isinstance(c, _Connection) and c.is_kept))
            next(idle, connections[0]).force_close()
        super().connection_made(handler, transport)


class _Connection(web.RequestHandler):
    """One connection; what is not HTTP is answered as JSON without a word of ours in the log."""

    __slots__ = ("is_kept",)

    def __init__(self, manager: web.Server, **more: Any) -> None:  # noqa: ANN401 - aiohttp's
        super().__init__(manager, **more)
        self.is_kept = False

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it repeats what the client sent
    ) -> web.StreamResponse:
        """The answer to a request that could not be read."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer had begun") from exc
        answer = problem(status, "the request could not be read")
        answer.force_close()
        return answer
