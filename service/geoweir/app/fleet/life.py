"""One process from its start to its end, as the supervisor sees it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Final, Self

from geoweir.app.fleet.wire import (
    Answer,
    Ask,
    Assignment,
    Failed,
    Forward,
    Ready,
    Report,
    frame,
    hear_member,
)
from geoweir.errors import WorkerError

__all__ = ["Life"]

_ANSWER_S: Final = 10.0  # for a request that it is to answer
_LAST_WORDS_S: Final = 2.0  # for what a process said before its end to be heard


class Life:
    """A process that was started.

    Attributes:
        report: the last that it said of itself; None before it has something to say.
        reported: when that was, on the monotonic clock.
        is_ready: whether everything of it stood once.
        failed: why it ends, where it could say so.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        on_news: Callable[[], None],
    ) -> None:
        self._process = process
        self._reader, self._writer = streams
        self._on_news = on_news
        self._listening = asyncio.ensure_future(self._listen())
        self._answer: asyncio.Future[None] | None = None
        self._forwarded: dict[int, asyncio.Future[Answer | None]] = {}
        self._forwards = 0
        self.asked = 0.0
        self.report: Report | None = None
        self.reported = 0.0
        self.is_ready = False
        self.failed: Failed | None = None

    def __repr__(self) -> str:
        return f"<Life {self.pid} {'ready' if self.is_ready else 'not ready'}>"

    @classmethod
    async def begin(
        cls, assignment: Assignment, *, debug: bool, on_news: Callable[[], None]
    ) -> Self:
        """Starts a process; OSError where there is none to be had."""
        ours, theirs = socket.socketpair()
        with theirs, contextlib.ExitStack() as undo:
            undo.callback(ours.close)
            ours.settimeout(0.0)
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "geoweir", *(["--debug"] if debug else []), "member"),
                str(theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                # Ctrl-C is for the supervisor, which ends them in order.
                process_group=0,
            )
            streams = await asyncio.open_connection(sock=ours)
            undo.pop_all()
        streams[1].write(frame(assignment))
        return cls(process, streams, on_news)

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def ask(self) -> asyncio.Future[None]:
        """Asks for a report, unless one is asked for already; done when it came, or never will."""
        if self._answer is None or self._answer.done():
            self._answer = asyncio.get_running_loop().create_future()
            self.asked = time.monotonic()
            if self._listening.done():
                self._answer.set_result(None)
            else:
                self._writer.write(frame(Ask()))
        return self._answer

    async def forward(self, path: str, query: dict[str, str], body: bytes) -> Answer | None:
        """Has the process answer a request; None where it ends, or takes too long."""
        if self._listening.done():
            return None
        self._forwards += 1
        number = self._forwards
        answer: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        self._forwarded[number] = answer
        self._writer.write(frame(Forward(number, path, query, body)))
        try:
            async with asyncio.timeout(_ANSWER_S):
                return await answer
        except TimeoutError:
            return None
        finally:
            del self._forwarded[number]

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal, if the process is still there."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def ended(self) -> str:
        """Waits for the end, and for all that was said before; says how, empty for in order."""
        status = await self._process.wait()
        await asyncio.wait([self._listening], timeout=_LAST_WORDS_S)
        self._listening.cancel()
        self._writer.close()
        if status == 0:
            return ""
        return (
            f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        )

    async def _listen(self) -> None:
        try:
            while (message := await hear_member(self._reader)) is not None:
                match message:
                    case Report():
                        self.report, self.reported = message, time.monotonic()
                        self._answered()
                    case Ready():
                        self.is_ready = True
                    case Failed():
                        self.failed = message
                    case Answer():
                        self._give(message.number, message)
                self._on_news()
        except WorkerError as error:
            self.failed = Failed(f"a process broke its word: {error}", 1)
            self.signal(signal.SIGKILL)
        finally:
            self._answered()
            for number in self._forwarded:
                self._give(number, None)

    def _give(self, number: int, answer: Answer | None) -> None:
        waiting = self._forwarded.get(number)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    def _answered(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(None)
