"""``GET /api/tap``: features as they are settled, as server-sent events.

An event ``seen`` is one chunk's features with one outcome, in columns; ``missed`` in it says how
many were not shown since the event before. The event ``end`` is the last one and says why. Between
them a comment comes every few seconds, so that both ends notice when the other is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Final

import orjson
from aiohttp import web

from geoweir.core.outcome import Outcome
from geoweir.telemetry.observers import MOST_RATE, MOST_WATCHERS, Observers, Seen, Watcher
from geoweir.web.connections import HEADERS, keep_open, problem

__all__ = ["CONTENT_TYPE", "Tap"]

CONTENT_TYPE: Final = "text/event-stream; charset=utf-8"

_RATE: Final = 1000  # features a second where the request names no rate
_LIMIT: Final = 1_000_000_000
_BEAT_S: Final = 10.0
_STALLED_S: Final = 60.0
_GOOD_BYE_S: Final = 0.25  # for the last event, once the service ends
_MOST_NAMED: Final = 24  # streams in a message
_LONGEST_NAME: Final = 100  # characters of a name that is repeated to the client
_BEAT: Final = b":\n\n"
_COLUMNS: Final = tuple(field.name for field in fields(Seen))


class _RequestError(Exception):
    """What a client asks for can't be had; its text is for the client."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


@dataclass(frozen=True, slots=True)
class _Wish:
    """What a client asks for."""

    stream: str | None
    outcome: Outcome | None
    limit: int | None
    rate: int


class Tap:
    """Serves observers.

    Args:
        observers: whom it takes the features from.
        beat_s: how often something is sent when there is nothing to show.
        stalled_s: how long a client may take nothing before its connection is ended.
    """

    def __init__(
        self, observers: Observers, *, beat_s: float = _BEAT_S, stalled_s: float = _STALLED_S
    ) -> None:
        self._observers = observers
        self._beat_s = beat_s
        self._stalled_s = stalled_s
        self._sending: set[asyncio.Timeout] = set()
        self._is_ending = False

    def close(self, why: str) -> None:
        """Ends all streams of events; who takes nothing then is not waited for."""
        self._is_ending = True
        self._observers.close(why)
        for patience in self._sending:
            patience.reschedule(asyncio.get_running_loop().time() + _GOOD_BYE_S)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answers one request, for as long as its client stays."""
        try:
            wish = _wish(request.query, self._observers.streams)
        except _RequestError as error:
            return problem(error.status, error.text)
        if self._observers.is_full():
            return problem(503, f"there are {MOST_WATCHERS} watchers already; end one of them")
        response = web.StreamResponse(headers={**HEADERS, "Content-Type": CONTENT_TYPE})
        if request.method == "HEAD":
            return response
        response.force_close()
        keep_open(request)
        with self._observers.watch(
            wish.stream, outcome=wish.outcome, limit=wish.limit, rate=wish.rate
        ) as watcher:
            try:
                await self._serve(request, response, watcher)
            except TimeoutError:
                # What waits in the transport would wait for ever.
                if request.transport is not None:
                    request.transport.abort()
            except ConnectionError:
                pass  # the client left
        return response

    async def _serve(
        self, request: web.BaseRequest, response: web.StreamResponse, watcher: Watcher
    ) -> None:
        _notice_dead_peer(request, self._stalled_s)
        await response.prepare(request)
        await self._send(response, _BEAT)  # so that the client sees at once that it is heard
        while True:
            seen = await watcher.take(self._beat_s)
            if seen is not None:
                body = {name: getattr(seen, name) for name in _COLUMNS}
                await self._send(response, _event("seen", body | {"missed": watcher.missed()}))
            elif watcher.ended:
                break
            else:
                await self._send(response, _BEAT)
        await self._send(
            response, _event("end", {"why": watcher.ended, "missed": watcher.missed()})
        )

    async def _send(self, response: web.StreamResponse, data: bytes) -> None:
        """Sends, and waits until the client has room for more.

        Raises:
            TimeoutError: it took nothing for too long.
        """
        async with asyncio.timeout(_GOOD_BYE_S if self._is_ending else self._stalled_s) as patience:
            self._sending.add(patience)
            try:
                await response.write(data)
            finally:
                self._sending.discard(patience)


def _wish(query: Mapping[str, str], streams: Sequence[str]) -> _Wish:
    """What the query asks for.

    Raises:
        _RequestError: a value in it is none that can be had.
    """
    stream = query.get("stream")
    if stream is not None and stream not in streams:
        raise _RequestError(404, _unknown_stream(stream, streams))
    outcome = query.get("outcome")
    if outcome is not None and outcome not in list(Outcome):
        raise _RequestError(400, f"outcome: one of {', '.join(Outcome)} is wanted")
    return _Wish(
        stream=stream,
        outcome=None if outcome is None else Outcome(outcome),
        limit=_count(query, "limit", _LIMIT),
        rate=_count(query, "rate", MOST_RATE) or _RATE,
    )


def _count(query: Mapping[str, str], name: str, most: int) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(most))
    if not is_number or not 1 <= int(text) <= most:
        raise _RequestError(400, f"{name}: a number from 1 to {most} is wanted")
    return int(text)


def _unknown_stream(name: str, streams: Sequence[str]) -> str:
    name = name[:_LONGEST_NAME]
    nearest = get_close_matches(name, streams, n=1)
    if nearest:
        return f'no stream is named "{name}". The nearest is "{nearest[0]}".'
    more = ", …" if len(streams) > _MOST_NAMED else ""
    return f'no stream is named "{name}". Streams: {", ".join(streams[:_MOST_NAMED])}{more}.'


def _event(name: str, body: Mapping[str, object]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(body))


def _notice_dead_peer(request: web.BaseRequest, seconds: float) -> None:
    """Has the kernel end the connection when the other machine is gone without a word."""
    connection = None if request.transport is None else request.transport.get_extra_info("socket")
    if connection is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        with contextlib.suppress(OSError):
            connection.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(1, round(seconds * 1000))
            )
