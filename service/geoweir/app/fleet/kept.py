"""``/api/kept`` of several processes: each has a store of its own, and answers for it.

A list and a retry go through the processes in turn. So that whoever asks needs to know nothing of
that, the number to go on from (``after``) holds the process and the place in its store.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
import orjson
from aiohttp import web

from geoweir.app.fleet.keeper import Keeper
from geoweir.app.fleet.wire import Answer
from geoweir.web.connections import HEADERS, problem
from geoweir.web.kept import ITEM, LIST, MOST_LISTED, RETRY, Question
from geoweir.web.status import StoreState

__all__ = ["FleetKept"]

#: A place in one store; drops in the life of a disk are fewer.
_PLACES: Final = 2**40
_MOST_DIGITS: Final = 18
_LISTED: Final = 100


class _AwayError(Exception):
    """A process that can't be asked now; its text is for the client."""


class FleetKept:
    """Answers about the kept inputs of all processes.

    Args:
        keepers: of the processes.
        state: how their stores are together.
    """

    def __init__(self, keepers: Sequence[Keeper], state: Callable[[], StoreState]) -> None:
        self._keepers = keepers
        self._state = state

    async def answer(self, request: Question) -> web.Response:
        """Answers one request whose path is one of ours."""
        try:
            if request.path == RETRY:
                return await self._send_again(await request.read())
            if request.path == LIST:
                return await self._list(dict(request.query))
            return await self._show(request.path.removeprefix(ITEM))
        except _AwayError as error:
            return problem(503, str(error))

    async def _list(self, query: dict[str, str]) -> web.Response:
        first, after = divmod(_number(query.get("after"), 0), _PLACES)
        left = min(_number(query.get("limit"), _LISTED), MOST_LISTED)
        found: list[Any] = []
        more = first < len(self._keepers)
        for index in range(first, len(self._keepers)):
            asked = {**query, "after": str(after), "limit": str(left)}
            # What can't be read is for the process to refuse.
            asked |= {name: text for name, text in query.items() if not _is_number(name, text)}
            said = await self._ask(index, LIST, asked)
            if said.status != 200:  # noqa: PLR2004 - HTTP's OK
                return _pass_on(said)
            page = orjson.loads(said.body)
            found += [{**one, "process": index} for one in page["kept"]]
            left -= len(page["kept"])
            is_last = index + 1 == len(self._keepers)
            more = page["more"] or not is_last
            first, after = (index, page["after"]) if page["more"] or is_last else (index + 1, 0)
            if page["more"] or not left:
                break
        return _json(
            {
                "store": self._state(),
                "kept": found,
                "after": first * _PLACES + after,
                "more": more,
            }
        )

    async def _show(self, name: str) -> web.Response:
        answers = [await self._ask(index, ITEM + name, {}) for index in range(len(self._keepers))]
        found = [said for said in answers if said.status == 200]  # noqa: PLR2004 - HTTP's OK
        faults = [said for said in answers if said.status not in {200, 404}]
        if faults:
            return _pass_on(faults[0])
        if not found:
            return _pass_on(answers[0])
        if len({orjson.loads(said.body)["id"] for said in found}) > 1:
            return problem(409, "several kept inputs have ids that begin so; write more of it")
        return _pass_on(found[0])

    async def _send_again(self, body: bytes) -> web.Response:
        try:
            wish = msgspec.json.decode(body, type=dict[str, Any])
            index, after = divmod(_whole(wish.get("after", 0)), _PLACES)
            up_to = wish.pop("up_to", None)
            up_to = None if up_to is None else _whole(up_to) % _PLACES
        except (msgspec.MsgspecError, ValueError, UnicodeDecodeError, RecursionError):
            return _pass_on(await self._ask(0, RETRY, {}, body))  # it says what is wrong
        index = min(index, len(self._keepers) - 1)
        wish["after"] = after
        if up_to:  # 0 where a process has not said yet how far it goes
            wish["up_to"] = up_to
        said = await self._ask(index, RETRY, {}, msgspec.json.encode(wish))
        if said.status != 200:  # noqa: PLR2004 - HTTP's OK
            return _pass_on(said)
        done = orjson.loads(said.body)
        is_last = index + 1 == len(self._keepers)
        if done["more"] or is_last:
            done |= {
                "after": index * _PLACES + done["after"],
                "up_to": index * _PLACES + done["up_to"],
            }
        else:
            following = (index + 1) * _PLACES
            done |= {"after": following, "up_to": following, "more": True}
        await self._hear(index)
        return _json({**done, "store": self._state()})

    async def _ask(
        self, index: int, path: str, query: Mapping[str, str], body: bytes = b""
    ) -> Answer:
        life = self._keepers[index].life
        said = None if life is None else await life.forward(path, dict(query), body)
        if said is None:
            raise _AwayError(f"process {index} is away or does not answer; try again")
        return said

    async def _hear(self, index: int) -> None:
        """Has the process report what it was just told to do, so that its numbers show it."""
        life = self._keepers[index].life
        if life is not None:
            await life.ask()


def _is_number(name: str, text: str) -> bool:
    return name not in {"after", "limit"} or (
        text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS
    )


def _number(text: str | None, usual: int) -> int:
    return int(text) if text is not None and _is_number("after", text) else usual


def _whole(value: object) -> int:
    if type(value) is int and value >= 0:
        return value
    raise ValueError(value)


def _pass_on(said: Answer) -> web.Response:
    return web.Response(
        body=said.body,
        status=said.status,
        headers={**HEADERS, "Content-Type": "application/json"},
    )


def _json(value: object) -> web.Response:
    return _pass_on(Answer(0, 200, orjson.dumps(value)))
