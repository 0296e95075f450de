"""``/api/kept``: the dropped inputs that are kept, and their way back.

``GET /api/kept`` lists them, ``GET /api/kept/ID`` shows one with its payload, and
``POST /api/kept/retry`` sends them through again. A list and a retry are as long as one answer may
be: both say where to go on.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Awaitable, Callable, Mapping
from math import isfinite
from typing import Annotated, Any, Final, Protocol

import msgspec
import orjson
from aiohttp import web

from geoweir.core.kept import KEPT_OUTCOMES, Kept, Selection
from geoweir.errors import StateError
from geoweir.ports import StateStore
from geoweir.web.connections import HEADERS, problem
from geoweir.web.status import StoreState

__all__ = [
    "ITEM",
    "LIST",
    "MOST_BODY",
    "MOST_LISTED",
    "RETRY",
    "AnswersKept",
    "KeptPages",
    "Outlook",
    "Question",
]

LIST: Final = "/api/kept"
RETRY: Final = "/api/kept/retry"
ITEM: Final = "/api/kept/"  # and the id

#: Bytes of a request to retry.
MOST_BODY: Final = 65_536

MOST_LISTED: Final = 1000
_LISTED: Final = 100
_LONGEST_NAME: Final = 64
_ID: Final = re.compile(r"[0-9a-f]{4,24}")
_MOMENTS: Final = 253_402_300_799.0  # what a calendar has

_Name = Annotated[str, msgspec.Meta(max_length=_LONGEST_NAME)]
_Number = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
_Moment = Annotated[float, msgspec.Meta(ge=0, le=_MOMENTS)]


class Outlook(Protocol):
    """What a retry says: see ``stages.retries.Retried``."""

    @property
    def taken(self) -> int:
        """Inputs on their way."""
        ...

    @property
    def skipped(self) -> int:
        """Inputs that can't go."""
        ...

    @property
    def after(self) -> int:
        """Where to go on."""
        ...

    @property
    def up_to(self) -> int:
        """Where to end."""
        ...

    @property
    def more(self) -> bool:
        """Whether there is more."""
        ...


class Question(Protocol):
    """What is read of a request."""

    @property
    def path(self) -> str:
        """Without the query."""
        ...

    @property
    def query(self) -> Mapping[str, str]:
        """Each name's first value."""
        ...

    def read(self) -> Awaitable[bytes]:
        """The body."""
        ...


class AnswersKept(Protocol):
    """Who answers on these paths."""

    def answer(self, request: Question) -> Awaitable[web.Response]:
        """Answers one request whose path is one of ours."""
        ...


class _Wish(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The body of a retry: what is meant; ``all`` where nothing narrows it."""

    ids: Annotated[list[Annotated[str, msgspec.Meta(max_length=24)]], msgspec.Meta(max_length=500)]
    stream: _Name | None = None
    outcome: _Name | None = None
    reason: _Name | None = None
    since: _Moment | None = None
    until: _Moment | None = None
    after: _Number = 0
    up_to: _Number | None = None
    all: bool = False


class _WishError(Exception):
    """A request that means nothing; its text is for the client."""


class KeptPages:
    """Answers about kept inputs.

    Args:
        store: where they are.
        retry: sends the first of a selection through again.
        state: how the store is.
    """

    def __init__(
        self,
        store: StateStore,
        retry: Callable[[Selection], Awaitable[Outlook]],
        state: Callable[[], StoreState],
    ) -> None:
        self._store = store
        self._retry = retry
        self._state = state

    async def answer(self, request: Question) -> web.Response:
        """Answers one request whose path is one of ours."""
        try:
            if request.path == RETRY:
                return await self._send_again(request)
            if request.path == LIST:
                return await self._list(request.query)
            return await self._show(request.path.removeprefix(ITEM))
        except _WishError as error:
            return problem(400, str(error))
        except StateError as error:
            return problem(503, f"the state store: {error}")

    async def _list(self, query: Mapping[str, str]) -> web.Response:
        selection, most = _selection(query), _limit(query)
        found = await self._store.find(selection, most=most + 1)
        more = len(found) > most
        shown = found[:most]
        return _json(
            {
                "store": self._state(),
                "kept": [description(one) for one in shown],
                "after": shown[-1].sequence if shown else selection.after,
                "more": more,
            }
        )

    async def _show(self, name: str) -> web.Response:
        found = await self._store.load(Selection(ids=(_checked_id(name),)), most=2, most_bytes=1)
        if not found:
            return problem(404, "no kept input has this id")
        others = await self._store.find(Selection(ids=(name,)), most=2)
        if len(others) > 1:
            return problem(409, "several kept inputs have ids that begin so; write more of it")
        return _json(whole(found[0]))

    async def _send_again(self, request: Question) -> web.Response:
        wish = _read(await request.read())
        selection = Selection(
            ids=tuple(map(_checked_id, wish.ids)),
            stream=wish.stream,
            outcome=wish.outcome,
            reason=wish.reason,
            since=wish.since,
            until=wish.until,
            after=wish.after,
            up_to=wish.up_to,
        )
        said = await self._retry(selection)
        return _json(
            {
                "taken": said.taken,
                "skipped": said.skipped,
                "after": said.after,
                "up_to": said.up_to,
                "more": said.more,
                "store": self._state(),
            }
        )


def description(kept: Kept) -> dict[str, Any]:
    """A kept input as JSON has it, without its payload; times are Unix seconds."""
    return {
        "id": kept.id,
        "stream": kept.stream,
        "topic": _plain(kept.topic),
        "outcome": kept.outcome,
        "reason": kept.reason,
        "detail": kept.detail,
        "received": kept.received,
        "dropped": kept.dropped,
        "attempts": kept.attempts,
        "bytes": kept.size,
    }


def whole(kept: Kept) -> dict[str, Any]:
    """Likewise with headers and payload."""
    return {
        **description(kept),
        "headers": [[_plain(name), _plain(value)] for name, value in kept.headers],
        "payload_base64": base64.b64encode(kept.payload or b"").decode(),
    }


def _read(body: bytes) -> _Wish:
    try:
        given = msgspec.json.decode(body, type=dict[str, Any])
        wish = msgspec.convert({"ids": [], **given}, type=_Wish)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _WishError(f"the body can't be read: {error}"[:300]) from None
    narrows = (wish.ids, wish.stream, wish.outcome, wish.reason, wish.since, wish.until)
    if not wish.all and all(one is None or one == [] for one in narrows):
        raise _WishError('nothing says which are meant: give ids, a stream, …, or "all": true')
    return wish


def _selection(query: Mapping[str, str]) -> Selection:
    outcome = query.get("outcome")
    if outcome is not None and outcome not in KEPT_OUTCOMES:
        raise _WishError(f"outcome: one of {', '.join(KEPT_OUTCOMES)} is wanted")
    ids = query.get("id")
    return Selection(
        ids=() if ids is None else (_checked_id(ids),),
        stream=query.get("stream"),
        outcome=outcome,
        reason=query.get("reason"),
        since=_moment(query, "since"),
        until=_moment(query, "until"),
        after=_number(query, "after", 2**62) or 0,
    )


def _limit(query: Mapping[str, str]) -> int:
    return _number(query, "limit", MOST_LISTED) or _LISTED


def _number(query: Mapping[str, str], name: str, most: int) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(most))
    if not is_number or int(text) > most:
        raise _WishError(f"{name}: a number up to {most} is wanted")
    return int(text)


def _moment(query: Mapping[str, str], name: str) -> float | None:
    text = query.get(name)
    if text is None:
        return None
    try:
        moment = float(text[:_LONGEST_NAME])
    except ValueError:
        moment = float("nan")
    if not (isfinite(moment) and 0 <= moment <= _MOMENTS):
        raise _WishError(f"{name}: Unix seconds are wanted")
    return moment


def _checked_id(name: str) -> str:
    if not _ID.fullmatch(name):
        raise _WishError("an id is 24 hex digits, or 4 or more of its first")
    return name


def _plain(text: str) -> str:
    """A text that JSON can hold."""
    return text.encode("utf-8", "replace").decode()


def _json(value: object) -> web.Response:
    return web.Response(
        body=orjson.dumps(value),
        headers={**HEADERS, "Content-Type": "application/json"},
    )
