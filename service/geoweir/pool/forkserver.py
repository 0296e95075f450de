"""Making worker processes: the service's side of the forkserver.

What blocks here does so for milliseconds (the first ``spawn`` for as long as the imports take), so
the loop calls it through ``in_thread``. There is one forkserver per service process, as
``multiprocessing`` has it; should it die, the next ``spawn`` starts another.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import re
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Final, TypeVar

from geoweir.pool.memory import Statm
from geoweir.pool.waiting import RunQueue
from geoweir.pool.worker import serve

__all__ = ["Spawned", "in_thread", "is_ended", "reap", "sparse_environment", "spawn"]

REAP_S: Final = 1.0  # for the forkserver to tell how a dead worker ended
_PRELOAD: Final = "geoweir.pool.preload"

#: What a worker has no business knowing: it runs on bytes from strangers.
_SECRET: Final = re.compile(r"PASSWORD|SECRET|TOKEN|^NOTIFY_SOCKET$|^WATCHDOG_", re.IGNORECASE)
_SETTINGS: Final = {
    "OPENBLAS_NUM_THREADS": "1",  # 50 MB less reserved memory per worker
    "PROJ_NETWORK": "OFF",  # a CRS must not make a worker fetch grids
}

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Spawned:
    """A process that was just forked, the service's ends of its sockets, and a handle on it."""

    process: BaseProcess
    channel: socket.socket
    door: socket.socket  # for descriptors; never waited for
    pid: int
    pidfd: int
    statm: Statm
    run_queue: RunQueue


def spawn(body: bytes, name: str, warm: str) -> Spawned:
    """Forks a worker for an assignment.

    Args:
        body: the packed assignment.
        name: of the process.
        warm: a module that a new forkserver imports, and so every worker has from birth.

    Raises:
        OSError: there was no process or descriptor to be had.
        EOFError: the forkserver died meanwhile.
    """
    ours, theirs = socket.socketpair()
    # Packets keep their bounds, so that each message of descriptors is one read.
    door, doorstep = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs, doorstep, contextlib.ExitStack() as undo:
        undo.callback(ours.close)  # which ends the worker, too
        undo.callback(door.close)
        door.settimeout(0.0)
        process = _forkserver.start(body, name, (theirs, doorstep), warm)
        pid = process.pid or 0
        pidfd = os.pidfd_open(pid)
        undo.callback(os.close, pidfd)
        spawned = Spawned(process, ours, door, pid, pidfd, Statm(pid), RunQueue(pid))
        undo.pop_all()
        return spawned


def sparse_environment() -> dict[str, str]:
    """The environment that whoever works on bytes from strangers is to have: without secrets."""
    kept = {name: value for name, value in os.environ.items() if not _SECRET.search(name)}
    return kept | _SETTINGS


def is_ended(pidfd: int) -> bool:
    """Whether the process is gone, be it reaped or not."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))


def owed_s() -> float:
    """For how long the forkserver has owed an answer, in seconds; one that is new owes none yet."""
    return _forkserver.owed_s()


def reap(spawned: Spawned) -> str:
    """Says how a process that is gone ended, and gives back what it held here."""
    with _forkserver.lock:
        _forkserver.asked()
        spawned.process.join(REAP_S)
        status = spawned.process.exitcode
        if status is not None:
            _forkserver.answered()
        with contextlib.suppress(ValueError):  # the forkserver died before it could tell
            spawned.process.close()
    os.close(spawned.pidfd)
    spawned.door.close()
    spawned.statm.close()
    spawned.run_queue.close()
    if status is None:
        return "ended in an unknown way"
    return f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"


async def in_thread(function: Callable[..., _Result], *arguments: object) -> _Result:
    """Runs a blocking function without blocking the loop, and without holding up an exit."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[_Result] = loop.create_future()

    def work() -> None:
        try:
            result = function(*arguments)
        except Exception as error:  # noqa: BLE001 - raised again where it is awaited
            _tell(loop, answer, answer.set_exception, error)
        else:
            _tell(loop, answer, answer.set_result, result)

    threading.Thread(target=work, name="geoweir-spawn", daemon=True).start()
    return await answer


def _tell(
    loop: asyncio.AbstractEventLoop,
    answer: asyncio.Future[_Result],
    how: Callable[..., None],
    what: object,
) -> None:
    def tell() -> None:
        if not answer.done():
            how(what)

    with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
        loop.call_soon_threadsafe(tell)


class _Forkserver:
    """The process that workers are forked from, seen from the service."""

    def __init__(self) -> None:
        self.lock = threading.Lock()  # multiprocessing's own books are not safe for threads
        self._context = multiprocessing.get_context("forkserver")
        self._pidfd: int | None = None
        self._owes_since: float | None = None  # of the loop's thread and of those that ask

    def asked(self) -> None:
        """An answer is due; one that was due before stays so until one comes."""
        if self._owes_since is None:
            self._owes_since = time.monotonic()

    def answered(self) -> None:
        """It works."""
        self._owes_since = None

    def owed_s(self) -> float:
        """Seconds since the oldest question that has no answer."""
        since = self._owes_since
        return 0.0 if since is None else time.monotonic() - since

    def start(
        self, body: bytes, name: str, sockets: tuple[socket.socket, socket.socket], warm: str
    ) -> BaseProcess:
        process = self._context.Process(target=serve, args=(*sockets, body), name=name, daemon=True)
        with self.lock:
            is_new = not self._is_alive()
            if is_new:
                self.answered()  # it imports first, which takes a slow gateway seconds
                self._context.set_forkserver_preload([warm, _PRELOAD])
                with _environment():
                    forkserver.ensure_running()
            if not is_new:
                self.asked()
            process.start()
            self.answered()
            if is_new:
                self._remember(process.pid or 0)
        return process

    def _is_alive(self) -> bool:
        return self._pidfd is not None and not is_ended(self._pidfd)

    def _remember(self, worker: int) -> None:
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None
        with contextlib.suppress(OSError):  # it is dead already: the next start sees to that
            self._pidfd = os.pidfd_open(_parent_of(worker))


_forkserver = _Forkserver()


def _parent_of(pid: int) -> int:
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    return int(stat.rpartition(")")[2].split()[1])


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    """The environment that the forkserver, and so every worker, is to have."""
    before, during = dict(os.environ), sparse_environment()
    for name in before.keys() - during.keys():
        del os.environ[name]
    os.environ.update(during)
    try:
        yield
    finally:
        for name in _SETTINGS:
            os.environ.pop(name, None)
        os.environ.update(before)
