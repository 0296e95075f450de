"""How long a chunk may take, and how much time may go into finding a chunk's culprit."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Hashable
from typing import Final

__all__ = ["Deadlines", "IsolationBudget"]

FACTOR: Final = 8  # times the p99 of a stream's own run times
SHORTEST_S: Final = 0.25
FEWEST: Final = 32  # samples, before a stream's own times count
MOST: Final = 256  # samples that are remembered per stream
STALL_SHARE: Final = 1 / 8  # of the timeout, for one input of a careful run
WINDOW_S: Final = 10.0  # over which isolation's share is taken


class Deadlines:
    """The first deadline of a chunk, from how long the stream's chunks have been taking.

    A culprit costs its slot a whole deadline before anything can be done about it, so a stream
    whose chunks take milliseconds is not given seconds. All times are seconds.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._times: dict[Hashable, _RunTimes] = {}

    def first_pass(self, stream: Hashable) -> float:
        """The deadline for a chunk of the stream: 8 times its p99, 0.25 s to ``timeout_s``."""
        times = self._times.get(stream)
        if times is None or len(times) < FEWEST:
            return self._timeout_s
        return min(max(FACTOR * times.p99(), SHORTEST_S), self._timeout_s)

    def stall(self, stream: Hashable) -> float:
        """How long one input of the stream may take in a careful run.

        An eighth of ``timeout_s``, and less where a whole chunk has less time; no shorter than the
        shortest first pass, so that a busy machine makes no culprits.
        """
        share_s = max(self._timeout_s * STALL_SHARE, SHORTEST_S)
        return min(share_s, self.first_pass(stream))

    def observe(self, stream: Hashable, run_s: float) -> None:
        """Remembers a chunk's run time.

        Call it for chunks that were done, and with the deadline itself for a chunk that missed it
        and then turned out to have no culprit: so a stream that became slow gets longer deadlines,
        while culprits don't.
        """
        if (times := self._times.get(stream)) is None:
            times = self._times[stream] = _RunTimes()
        times.add(run_s)


class _RunTimes:
    """The latest run times of one stream, in order of age and in order of size."""

    def __init__(self) -> None:
        self._aged: deque[float] = deque()
        self._sorted: list[float] = []

    def __len__(self) -> int:
        return len(self._aged)

    def add(self, run_s: float) -> None:
        if len(self._aged) == MOST:
            del self._sorted[bisect_left(self._sorted, self._aged.popleft())]
        self._aged.append(run_s)
        insort(self._sorted, run_s)

    def p99(self) -> float:
        return self._sorted[math.ceil(0.99 * len(self._sorted)) - 1]


class IsolationBudget:
    """Allows one isolation at a time and a share of all slots' time over the last ten seconds.

    Without it, a flood of culprits would have every slot run carefully all the time.
    """

    def __init__(self, workers: int, share: float = 0.25) -> None:
        self._limit_s = workers * WINDOW_S * share
        self._runs: deque[tuple[float, float]] = deque()  # when it ended, seconds it took
        self._is_running = False

    def may_start(self, now: float) -> bool:
        """Whether an isolation may begin; True takes the only permit, until ``spent``."""
        if self._is_running or self._used(now) >= self._limit_s:
            return False
        self._is_running = True
        return True

    def spent(self, now: float, seconds: float) -> None:
        """Gives the permit back and books ``seconds`` of slot time that end at ``now``."""
        self._is_running = False
        self._runs.append((now, seconds))

    def _used(self, now: float) -> float:
        start = now - WINDOW_S
        while self._runs and self._runs[0][0] <= start:
            self._runs.popleft()
        return sum(min(seconds, ended - start) for ended, seconds in self._runs)
