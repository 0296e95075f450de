"""The main function of a worker process: takes chunks from its socket and answers each.

It imports nothing of the service. It may be killed at any instruction; what it holds is known to
the service. It leaves when the service does, even in the middle of a chunk.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import gc
import os
import resource
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing import forkserver
from pathlib import Path
from typing import Final

from geoweir.core.work import ChunkDone, ChunkWork
from geoweir.errors import GeoweirError
from geoweir.pool.frames import (
    LENGTH,
    TEXT_LIMIT,
    Answer,
    Assignment,
    Failure,
    Fault,
    Hand,
    Order,
    Ready,
    Request,
    Taken,
    Unfit,
    decode_assignment,
    decode_order,
    encode_frame,
)
from geoweir.pool.holding import Holding
from geoweir.pool.memory import RECYCLE_SHARE, Inherited, Statm, reserved_bytes
from geoweir.pool.sandbox import enter
from geoweir.pool.sighted import sighted

__all__ = ["serve"]

NICENESS: Final = 5
OOM_SCORE: Final = 800  # the kernel takes a worker, never the service
TRIM_SHARE: Final = 0.6  # of the cap: above it, free memory goes back to the system
MEASURE_S: Final = 1.0  # how often inherited memory is measured at most
_DETAIL: Final = 300  # characters of an exception's text
_PR_SET_PDEATHSIG: Final = 1


def serve(channel: socket.socket, door: socket.socket, body: bytes) -> None:
    """Answers the service until it goes.

    Args:
        channel: frames both ways.
        door: the files that frames announce, as descriptors.
        body: the packed assignment.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    _leave_with_the_service(channel, libc)
    _stand_back()
    assignment = decode_assignment(body)
    memory = _Memory(assignment.memory, _trimmer(libc))
    orders = _orders(channel)
    try:
        holding = Holding(assignment, door, _text)
        _receive_all(holding, orders)
        holding.begin()
        memory.settle()
        sandbox = _sandboxed(assignment)
    except Exception as error:  # noqa: BLE001 - whatever it is, a person has to read it
        channel.sendall(encode_frame(Unfit(_text(error))))
        return
    channel.sendall(encode_frame(Ready(memory.private(), memory.inherited, sandbox)))
    for order in orders:
        for frame in _answers(order, holding, memory):
            channel.sendall(frame)


def _sandboxed(assignment: Assignment) -> str:
    """Gives up what no chunk needs, if wanted; what holds from now on."""
    if not assignment.is_sandboxed:
        return "off"
    in_parts = (one.path for one in assignment.spec.rasters if one.in_parts)
    return enter(sorted({str(Path(path).parent) for path in in_parts}))


def _receive_all(holding: Holding, orders: Iterator[Order]) -> None:
    """The first hand, to its last part."""
    for order in orders:
        if isinstance(order, Hand):
            holding.receive(order)
            if order.is_last:
                return
    raise GeoweirError("the service went before it had handed over the files")


def _leave_with_the_service(channel: socket.socket, libc: ctypes.CDLL) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the service, which drains
    threading.Thread(target=_guard, args=(channel,), name="guard", daemon=True).start()
    # The guard needs the GIL, which a C call may keep. So the kernel kills the worker when the
    # forkserver leaves, and the forkserver leaves with the service unless a worker holds this pipe.
    alive = getattr(forkserver, "_forkserver", None)
    descriptor = getattr(alive, "_forkserver_alive_fd", None)
    if isinstance(descriptor, int):
        os.close(descriptor)
        alive._forkserver_alive_fd = None  # type: ignore[union-attr] # noqa: SLF001
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _guard(channel: socket.socket) -> None:
    poll = select.poll()
    poll.register(channel, select.POLLRDHUP)
    poll.poll()
    os._exit(0)


def _stand_back() -> None:
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(NICENESS)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE), encoding="ascii")


def _trimmer(libc: ctypes.CDLL) -> Callable[[], None]:
    trim = getattr(libc, "malloc_trim", None)  # glibc has it, musl has not

    def give_back() -> None:
        gc.collect()
        if trim is not None:
            trim(0)

    return give_back


class _Memory:
    """This process's private memory, and what it does to keep it low."""

    def __init__(self, cap: int, give_back: Callable[[], None]) -> None:
        self._cap = cap
        self._give_back = give_back
        self._statm = Statm(os.getpid())
        self._shared = Inherited()
        self._measured = time.monotonic()
        # Right after the fork all anonymous pages are inherited ones.
        self.inherited = self._statm.anonymous()

    def settle(self) -> None:
        """Takes what is in use now as the start, and bounds what may come on top of it."""
        self._give_back()
        self._measure()
        if (private := self.private()) > RECYCLE_SHARE * self._cap:
            raise GeoweirError(
                f"a worker holds {private / 1e6:.0f} MB before its first chunk: "
                f"raise pool.memory ({self._cap / 1e6:.0f} MB) to at least "
                f"{2 * private / 1e6:.0f} MB"
            )
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        bound = reserved_bytes() + 2 * self._cap
        if hard == resource.RLIM_INFINITY or bound < hard:
            resource.setrlimit(resource.RLIMIT_DATA, (bound, bound))

    def private(self) -> int:
        """Bytes that only this process has."""
        return max(0, self._statm.anonymous() - self.inherited)

    def after_chunk(self) -> int:
        """Private bytes, after giving free ones back if there are many."""
        if time.monotonic() - self._measured > MEASURE_S:
            self._measure()
        if self.private() > TRIM_SHARE * self._cap:
            self._give_back()
        return self.private()

    def tidy(self) -> None:
        """Gives back what a file held that is no longer used."""
        self._give_back()
        self._measure()

    def is_near_cap(self) -> bool:
        """Whether an odd error may be a refused allocation."""
        return self.private() > RECYCLE_SHARE * self._cap

    def _measure(self) -> None:
        if (inherited := self._shared.bytes()) is not None:
            self.inherited = inherited
        self._measured = time.monotonic()


def _orders(channel: socket.socket) -> Iterator[Order]:
    with channel.makefile("rb") as stream:
        while len(head := stream.read(LENGTH.size)) == LENGTH.size:
            (size,) = LENGTH.unpack(head)
            yield decode_order(stream.read(size))


def _answers(order: Order, holding: Holding, memory: _Memory) -> Iterator[bytes]:
    if isinstance(order, Request):
        yield from _chunk(order, holding, memory)
        return
    holding.receive(order)
    if order.is_last:
        refused = holding.renew(lambda: not memory.is_near_cap())
        memory.tidy()
        yield encode_frame(Taken(refused, memory.private(), memory.inherited))


def _chunk(request: Request, holding: Holding, memory: _Memory) -> Iterator[bytes]:
    for index, work in _parts(request):
        try:
            done = holding.chains[work.stream].run(work)
            frame = _answer(request.sequence, index, done, memory)
        except BaseException as error:  # noqa: BLE001 - Rust panics are no Exceptions
            yield encode_frame(_fault(request.sequence, index, error, memory))
            return
        yield frame


def _parts(request: Request) -> Iterator[tuple[int, ChunkWork]]:
    work = request.work
    if not request.each:
        yield -1, work
        return
    for index, columns in enumerate(zip(work.payloads, work.addresses, work.received, strict=True)):
        payload, address, received = columns
        yield index, ChunkWork(work.stream, [payload], [address], [received], work.watched)


def _answer(sequence: int, index: int, done: ChunkDone, memory: _Memory) -> bytes:
    return encode_frame(
        Answer(
            sequence=sequence,
            index=index,
            codes=done.codes,
            messages=done.messages,
            features=done.features,
            step_seconds=done.step_seconds,
            private=memory.after_chunk(),
            inherited=memory.inherited,
            sighted=sighted(done.sightings),
        )
    )


def _fault(sequence: int, index: int, error: BaseException, memory: _Memory) -> Fault:
    refused = isinstance(error, MemoryError) or "bad_alloc" in _text(error) or memory.is_near_cap()
    failure = Failure.MEMORY if refused else Failure.CRASH
    return Fault(sequence, index, failure, _text(error))


def _text(error: BaseException) -> str:
    if isinstance(error, GeoweirError):
        return str(error)[:TEXT_LIMIT]
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - a foreign class's own __str__
        text = ""
    text = f"{type(error).__name__}: {text}"[:_DETAIL]
    return text.encode("utf-8", "replace").decode("utf-8")
