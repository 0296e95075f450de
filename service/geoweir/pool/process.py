"""One worker process from its fork to its end, as the service sees it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from geoweir.core.spec import Reference
from geoweir.errors import WorkerError
from geoweir.pool.channel import Channel
from geoweir.pool.forkserver import Spawned, in_thread, is_ended, reap, spawn
from geoweir.pool.frames import (
    Failure,
    Hand,
    Handed,
    Ready,
    Refused,
    Reply,
    Taken,
    Unfit,
    encode_frame,
)
from geoweir.pool.holding import MOST_AT_ONCE
from geoweir.pool.shelf import ShelfFile

__all__ = ["Cause", "Reason", "WorkerProcess"]

#: Why a worker was replaced.
Reason = Literal["timeout", "memory", "crash", "recycle", "start"]

EOF_S: Final = 0.2  # for the socket's end, when a worker's own child still holds it


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a worker ended, and what that makes of the chunk that it held."""

    reason: Reason
    failure: Failure
    detail: str
    is_unread: bool = False  # the worker ended without having read the chunk


class WorkerProcess:
    """A worker and the socket to it.

    Attributes:
        pid: the process id.
        ready: done when the worker can take chunks; WorkerError when it said why it can't.
        private: private bytes as the worker last told.
        sandbox: what keeps it from all that no chunk needs, as it told when it was ready.
        held: the version of each layer and raster that it was handed last.
        cause: why the service ended it, before anything else could.
        gone: done when the process has ended.
    """

    def __init__(self, spawned: Spawned, on_reply: Callable[[WorkerProcess, Reply], None]) -> None:
        loop = asyncio.get_running_loop()
        self.pid = spawned.pid
        self.private = 0
        self.sandbox = ""
        self.held: dict[Reference, str] = {}
        self.cause: Cause | None = None
        self.ready: asyncio.Future[None] = loop.create_future()
        self._spawned = spawned
        self._on_reply = on_reply
        self._inherited = 0
        self._taken: asyncio.Future[list[Refused]] | None = None
        self.gone: asyncio.Future[None] = loop.create_future()
        self._channel = Channel(self._heard, self._talked_nonsense)

    @classmethod
    async def launch(
        cls, body: bytes, name: str, warm: str, on_reply: Callable[[WorkerProcess, Reply], None]
    ) -> WorkerProcess:
        """Forks a worker; it gets ready when it is handed its files: see ``ready``.

        Raises:
            OSError, EOFError: it could not be forked.
        """
        spawned = await in_thread(spawn, body, name, warm)
        worker = cls(spawned, on_reply)
        await worker._open()
        return worker

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(self._spawned.pidfd, self._went)
        await loop.create_unix_connection(lambda: self._channel, sock=self._spawned.channel)

    def is_alive(self) -> bool:
        """Whether a frame would find somebody: neither ended nor being ended."""
        return self.cause is None and not self.gone.done() and not is_ended(self._spawned.pidfd)

    def is_ready(self) -> bool:
        """Whether it ever became ready."""
        return self.ready.done() and self.ready.exception() is None

    def why_unfit(self, ended: Cause) -> Cause:
        """Why it did not become ready, given how it ended: in its own words if it had any."""
        if self.ready.done():
            return Cause("start", Failure.CRASH, str(self.ready.exception()))
        return Cause("start", Failure.CRASH, f"a worker did not become ready: {ended.detail}")

    def send(self, frame: bytes) -> None:
        """Queues a frame."""
        self._channel.send(frame)

    def hand(self, files: Sequence[ShelfFile]) -> asyncio.Future[list[Refused]]:
        """Hands over open files, all of them or none that counts; they stay ours to close.

        Completes when the worker answers a hand after its first, with what it refused; never when
        the worker ends before. The first hand is answered by ``ready``.
        """
        self._taken = asyncio.get_running_loop().create_future()
        parts = [files[at : at + MOST_AT_ONCE] for at in range(0, len(files), MOST_AT_ONCE)]
        try:
            for number, part in enumerate(parts or [[]], start=1):
                if part:
                    descriptors = [file.descriptor for file in part]
                    socket.send_fds(self._spawned.door, [b"\0"], descriptors)
                handed = [Handed(*file.reference, file.version) for file in part]
                self.send(encode_frame(Hand(handed, is_last=number >= len(parts))))
        except OSError as error:
            self.kill(Cause("start", Failure.CRASH, f"files can't be handed over: {error}"))
        self.held.update((file.reference, file.version) for file in files)
        return self._taken

    def kill(self, cause: Cause) -> None:
        """Ends the worker now; the first cause counts."""
        if self.cause is None and not self.gone.done():
            self.cause = cause
        self._kill()

    def used(self) -> int:
        """Private bytes right now; costs a microsecond."""
        return max(0, self._spawned.statm.anonymous() - self._inherited)

    def waited_s(self) -> float:
        """Seconds since its start that it was ready to run and had no processor."""
        return self._spawned.run_queue.waited_s()

    def note_memory(self, private: int, inherited: int) -> None:
        """Takes over what the worker told: what it shares can only become less."""
        self.private = private
        self._inherited = min(self._inherited, inherited)

    async def end(self) -> Cause:
        """Returns when the process is gone, all that it said was heard and nothing of it is left.

        Either sign of the end counts, since a worker's own child may keep the socket open and a
        worker may close it and live on.
        """
        await asyncio.wait({self.gone, self._channel.lost}, return_when=asyncio.FIRST_COMPLETED)
        self._kill()
        await self.gone
        await asyncio.wait({self._channel.lost}, timeout=EOF_S)
        self._channel.abort()
        await self._channel.lost
        how = await in_thread(reap, self._spawned)
        if self.cause is not None:
            return self.cause
        detail = f"the worker ended: {how}"
        return Cause("crash", Failure.CRASH, detail, is_unread=self._channel.is_unread)

    def _kill(self) -> None:
        if not self.gone.done():
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._spawned.pidfd, signal.SIGKILL)

    def _went(self) -> None:
        asyncio.get_running_loop().remove_reader(self._spawned.pidfd)
        self.gone.set_result(None)

    def _heard(self, reply: Reply) -> None:
        match reply:
            case Ready(private=private, inherited=inherited) if not self.ready.done():
                self.sandbox = reply.sandbox
                self.private, self._inherited = private, inherited
                self.ready.set_result(None)
            case Taken(refused=refused) if self._taken is not None and not self._taken.done():
                self.note_memory(reply.private, reply.inherited)
                self._taken.set_result(refused)
            case Unfit(text=text) if not self.ready.done():
                self.ready.set_exception(WorkerError(text))
            case _ if self.ready.done():
                self._on_reply(self, reply)
            case _:
                raise WorkerError("a worker answered before it was ready")

    def _talked_nonsense(self, detail: str) -> None:
        self.kill(Cause("crash", Failure.CRASH, detail))
