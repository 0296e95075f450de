"""Simulated worker processes, in the place of ``pool.process.WorkerProcess``.

The pool, its slots, jobs and frames are the real ones; what a worker does with a chunk is decided
by the inputs' plans, and by the seed: it may answer late, die before it read, between two inputs or
right after its answer, hang, run out of memory, or die as soon as it is there.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from geoweir.codec.messages import encode_rejected
from geoweir.core.outcome import Outcome, outcome_of
from geoweir.core.work import ChunkWork, MessageKind, OutMessage
from geoweir.errors import WorkerError
from geoweir.pool.frames import (
    LENGTH,
    Answer,
    Failure,
    Fault,
    Refused,
    Reply,
    Request,
    decode_order,
    decode_reply,
    pack,
)
from geoweir.pool.process import Cause
from geoweir.pool.shelf import ShelfFile
from simulation.clockwork import SimLoop, World
from simulation.inputs import Plan, plan_of

__all__ = ["SimWorker", "Workers"]

_CULPRITS = (Plan.CRASH, Plan.HANG)
_BAD = outcome_of(Outcome.REJECTED, "shape")
_DROPPED = outcome_of(Outcome.FILTERED, "where")
_OVER_THE_CAP = 10**12


@dataclass
class Workers:
    """How the workers of a life behave.

    Attributes:
        deadly: share of chunks at which a worker dies, hangs or runs out of memory by itself.
        storm_until: until then every worker dies over everything.
        slow_s: seconds that a chunk takes at most.
    """

    world: World
    rng: Random
    streams: Sequence[str]
    deadly: float = 0.0
    storm_until: float = 0.0
    slow_s: float = 0.02
    launched: int = 0
    is_faultless: bool = False  # everything has healed
    living: list[SimWorker] = field(default_factory=list)

    async def launch(
        self, body: bytes, name: str, warm: str, on_reply: Callable[[SimWorker, Reply], None]
    ) -> SimWorker:
        """Stands in for ``WorkerProcess.launch``."""
        del body, warm
        self.launched += 1
        number = self.launched
        await asyncio.sleep(self.rng.uniform(0.0005, 0.02))
        if number > len(self.streams) + 2 and self.is_bad(0.2):
            raise OSError(11, "no process to be had")
        return SimWorker(self, name, number, on_reply)

    def is_bad(self, share: float) -> bool:
        """Whether something goes wrong now that does in so many cases."""
        if self.is_faultless:
            return False
        return self.world.now < self.storm_until or self.rng.random() < share * self.deadly


class SimWorker:
    """One worker; see ``WorkerProcess`` for what each name means."""

    def __init__(
        self,
        workers: Workers,
        name: str,
        number: int,
        on_reply: Callable[[SimWorker, Reply], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimLoop)
        self.pid = 1000 + number
        self.private = 0
        self.sandbox = "seccomp"
        self.held: dict[str, str] = {}
        self.cause: Cause | None = None
        self.ready: asyncio.Future[None] = loop.create_future()
        self.gone: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._workers = workers
        self._name = f"{name}.{number}"
        self._on_reply = on_reply
        self._how = Cause("crash", Failure.CRASH, "the worker ended: status 1")
        self._is_unread = False
        self._used = 0

    def is_alive(self) -> bool:
        """Whether a frame would find somebody."""
        return self.cause is None and not self.gone.done()

    def is_ready(self) -> bool:
        """Whether it ever became ready."""
        return self.ready.done() and self.ready.exception() is None

    def why_unfit(self, ended: Cause) -> Cause:
        """Why it did not become ready."""
        return Cause("start", Failure.CRASH, f"a worker did not become ready: {ended.detail}")

    def hand(self, files: Sequence[ShelfFile]) -> asyncio.Future[list[Refused]]:
        """There are no layers: the first hand makes it ready."""
        del files
        self._later(self._workers.rng.uniform(0.001, 0.05), self._get_ready)
        return self._loop.create_future()

    def send(self, frame: bytes) -> None:
        """Takes a chunk."""
        order = decode_order(frame[LENGTH.size :])
        assert isinstance(order, Request)
        if self._workers.is_bad(0.2):
            self._is_unread = True
            self._later(0.0002, self._die)
            return
        self._later(self._workers.rng.uniform(0.0001, 0.001), lambda: self._work(order, 0))

    def kill(self, cause: Cause) -> None:
        """Ends it; the first cause counts."""
        if self.cause is None and not self.gone.done():
            self.cause = cause
        self._later(self._workers.rng.uniform(0.0001, 0.002), self._die)

    def used(self) -> int:
        """Private bytes."""
        return self._used

    def waited_s(self) -> float:
        """It always had a processor."""
        return 0.0

    def note_memory(self, private: int, inherited: int) -> None:
        """Takes over what the worker told."""
        del inherited
        self.private = private

    async def end(self) -> Cause:
        """Returns when it is gone."""
        await asyncio.shield(self.gone)
        await asyncio.sleep(self._workers.rng.uniform(0, 0.001))
        if self.cause is not None:
            return self.cause
        return Cause("crash", Failure.CRASH, self._how.detail, is_unread=self._is_unread)

    # What it does.

    def _later(self, seconds: float, run: Callable[[], None]) -> None:
        self._workers.world.after(seconds, lambda: None if self._loop.is_ghost else run())

    def _get_ready(self) -> None:
        if self.gone.done() or self.ready.done():
            return
        if self._workers.launched > len(self._workers.streams) + 2 and self._workers.is_bad(0.3):
            self._die()
        else:
            self.ready.set_result(None)

    def _die(self) -> None:
        if not self.gone.done():
            self._workers.world.note(f"{self._name} is gone")
            self.gone.set_result(None)

    def _reply(self, reply: Reply) -> None:
        """By its bytes, as they cross the socket."""
        try:
            self._on_reply(self, decode_reply(pack(reply)))
        except WorkerError as error:
            self.kill(Cause("crash", Failure.CRASH, str(error)))

    def _work(self, request: Request, index: int) -> None:
        """The chunk, or its input at an index."""
        if self.gone.done():
            return
        plans = list(map(plan_of, request.work.payloads))
        mine = plans[index : index + 1] if request.each else plans
        if culprits := [plan for plan in mine if plan in _CULPRITS]:
            self._fail(culprits[0])
        elif self._workers.is_bad(1.0):
            self._fail(self._workers.rng.choice(("oom", "refused", *_CULPRITS)), request, index)
        else:
            seconds = self._workers.rng.uniform(0.0002, self._workers.slow_s)
            self._later(seconds, lambda: self._answer(request, index))

    def _fail(self, how: str, request: Request | None = None, index: int = 0) -> None:
        self._workers.world.note(f"{self._name}: {how}")
        if how == Plan.CRASH:
            self._later(0.001, self._die)
        elif how == "oom":
            self._used = _OVER_THE_CAP
        elif how == "refused" and request is not None:
            place = index if request.each else -1
            self._reply(Fault(request.sequence, place, Failure.MEMORY, "MemoryError"))

    def _answer(self, request: Request, index: int) -> None:
        if self.gone.done():
            return
        indices = [index] if request.each else list(range(len(request.work.payloads)))
        codes, messages = _run(self._workers.streams[request.work.stream], request.work, indices)
        place = index if request.each else -1
        self._reply(
            Answer(request.sequence, place, 0, codes, messages, len(indices), [], 1_000_000)
        )
        if self._workers.is_bad(0.1):
            self._die()
        elif request.each and index + 1 < len(request.work.payloads):
            self._work(request, index + 1)


def _run(stream: str, work: ChunkWork, indices: list[int]) -> tuple[bytes, list[OutMessage]]:
    """What the chain would make of it."""
    codes = bytearray()
    messages: list[OutMessage] = []
    for at, index in enumerate(indices):
        topic, payload = work.addresses[index], work.payloads[index]
        match plan_of(payload):
            case Plan.DROP:
                codes.append(_DROPPED)
            case Plan.BAD:
                codes.append(_BAD)
                body = encode_rejected(
                    stream=stream,
                    topic=topic,
                    id=None,
                    reason="shape",
                    detail="it was planned so",
                    received=0.0,
                    payload=payload,
                )
                kind = MessageKind.REJECTED
                messages.append(OutMessage(at, kind, f"rejected/{stream}", body, f"r:{topic}"))
            case _:
                codes.append(0)
                device = topic.split("/")[2]
                body = json.dumps({"topic": topic}).encode()
                to = f"result/{stream}/{device}"
                messages.append(OutMessage(at, MessageKind.RESULT, to, body, topic))
    return bytes(codes), messages
