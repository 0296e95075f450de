"""One chunk in the hands of one worker, until exactly one thing became of it."""

from __future__ import annotations

import asyncio
from typing import Final

from geoweir.core.work import ChunkDone
from geoweir.errors import WorkerError
from geoweir.pool.frames import Answer, Failure, Fault, Ready, Reply, Taken, Unfit, checked_done
from geoweir.pool.process import Cause, WorkerProcess

__all__ = ["Job"]


#: Nothing shorter is waited for.
_SHORT_S: Final = 0.01


class Job:
    """What a worker was given, what it answered so far, and the timer that ends it.

    Time in which the worker was ready to run and had no processor is not counted against it: on a
    busy machine the innocent would be taken for culprits. ``most_s`` bounds that.

    Only answers and the worker's end decide; the timer merely kills, so an answer that was under
    way when it fired still counts.
    """

    def __init__(
        self,
        worker: WorkerProcess,
        sequence: int,
        *,
        inputs: int,
        each: bool,
        limit_s: float,
        most_s: float,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.worker = worker
        self.is_unread = False  # the worker died before it could begin
        self.done: list[ChunkDone] = []
        self.finished: asyncio.Future[tuple[Failure | None, str]] = self._loop.create_future()
        self._sequence = sequence
        self._inputs = inputs
        self._each = each
        self._limit_s = limit_s
        self._most_s = most_s
        self._started = self._loop.time()
        self._timer = self._begin()

    def run_s(self) -> float:
        """Seconds since the worker was given the chunk."""
        return self._loop.time() - self._started

    def close(self) -> None:
        """Stops the timer."""
        self._timer.cancel()

    def lost(self, cause: Cause) -> None:
        """The worker ended, and everything that it said was heard."""
        self.is_unread = cause.is_unread
        self._finish(cause.failure, cause.detail)

    def heard(self, reply: Reply) -> None:
        """Takes what the worker says.

        Raises:
            WorkerError: it is not the reply that is due.
        """
        match reply:
            case Answer(sequence=self._sequence):
                self._take(reply)
            case Fault(sequence=self._sequence, index=index, failure=failure, text=text):
                self._expect(index)
                self._finish(failure, text)
            case Answer() | Fault() | Ready() | Unfit() | Taken():
                raise WorkerError("a worker sent a reply that nobody asked for")

    def _take(self, answer: Answer) -> None:
        self._expect(answer.index)
        self.done.append(checked_done(answer, 1 if self._each else self._inputs))
        if not self._each or len(self.done) == self._inputs:
            self._finish(None, "")
        else:
            self._timer.cancel()
            self._timer = self._begin()

    def _begin(self) -> asyncio.TimerHandle:
        """The deadline of what the worker does now."""
        self._begun = self._loop.time()
        self._waited_s = self.worker.waited_s()
        return self._loop.call_later(self._limit_s, self._overdue)

    def _expect(self, index: int) -> None:
        due = len(self.done) if self._each else -1
        if index != due or self.finished.done():
            raise WorkerError(f"a worker answered for input {index}, but {due} was due")

    def _finish(self, failure: Failure | None, detail: str) -> None:
        self._timer.cancel()
        if not self.finished.done():
            self.finished.set_result((failure, detail))

    def _overdue(self) -> None:
        passed_s = self._loop.time() - self._begun
        own_s = passed_s - (self.worker.waited_s() - self._waited_s)
        rest_s = min(self._limit_s - own_s, self._most_s - passed_s)
        if rest_s > _SHORT_S:
            self._timer = self._loop.call_later(rest_s, self._overdue)
            return
        detail = f"no answer within {self._limit_s:.3g} s"
        self.worker.kill(Cause("timeout", Failure.TIMEOUT, detail))
