"""The world outside: feeds a candidate through the broker and checks what comes back.

A process of its own, run once per phase with a job as JSON; prints the outcome as JSON. Feeder and
sink share one loop so that the feeder can hold a bounded number of messages between itself and the
sink: at saturation that bound and the rate decide the latency alike for every candidate. Packets
are made before the clock starts, and what arrived is looked into when it has stopped, except in
runs too long for either.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from judging import Check, Judge
from packets import Packets
from topics import IN, OUT, UNPUBLISHED
from wire import Feeder, Sink, open_link

__all__ = ["Job", "Seen"]

_REST_S: Final = 0.002  # between reads at saturation, where waiting is part of it anyway
_LINGER_S: Final = 0.25  # for repeats after the last one


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to do in one phase.

    Attributes:
        port: the broker's, on 127.0.0.1.
        folder: of the workload.
        first: number of the first message.
        count: how many, at most.
        seconds: how long to go on publishing, at most.
        outstanding: messages under way at most, where no rate is set.
        until: what a message has to be to be no longer under way: ``seen`` again by the sink, or
            ``acknowledged`` by the broker, for a feeder that cares for nothing else.
        rate: messages a second; None for as many as ``outstanding`` allows.
        inlet: prefix of the topics that are published to.
        outlet: prefix of the topics that results come on; the inlet's for no candidate between.
        stream: its name, for what says that an input was not published.
        check: what results have to say.
        mark_every: every so many messages one carries the mark.
        is_long: results are looked into along the way, for want of memory.
        stalled_s: how long without one result until the rest counts as missing.
    """

    port: int
    folder: str
    first: int
    count: int
    seconds: float = 1e9
    outstanding: int = 2000
    until: Literal["seen", "acknowledged"] = "seen"
    rate: float | None = None
    inlet: str = IN
    outlet: str = OUT
    stream: str = "positions"
    check: Check = "none"
    mark_every: int = 0
    is_long: bool = False
    stalled_s: float = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What an outside subscriber saw in one phase.

    Attributes:
        sent: how many messages.
        published_s: from the first publish to the last one.
        elapsed_s: from the first publish to the last result.
        rate: results a second.
        missing: inputs with neither a result nor a reconciliation.
        repeated, foreign, wrong, same_key, reconciled: as ``Judge`` counts them.
        late_p99_ms: how much later than its rate asks the feeder published.
        cpu_s: of this process while the clock ran.
    """

    sent: int
    published_s: float
    elapsed_s: float
    rate: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    missing: int
    repeated: int
    foreign: int
    wrong: int
    same_key: int
    reconciled: int
    late_p99_ms: float
    cpu_s: float


class Outside:
    """Feeder and sink of one phase."""

    def __init__(self, job: Job) -> None:
        self._job = job
        folder = Path(job.folder)
        self._packets = Packets(
            folder, job.inlet, first=job.first, count=job.count, mark_every=job.mark_every
        )
        self._judge = Judge(
            folder,
            first=job.first,
            count=job.count,
            check=job.check,
            outlet=job.outlet,
            has_keys=not job.is_long,
        )
        self._reads: list[tuple[bytes, float]] = []
        self._sends: list[tuple[int, float]] = []  # how many by then, and when
        self._sent = self._acknowledged = self._seen = 0
        self._until = float("inf")
        self._has_sent_all = False
        self._feeder: Feeder | None = None
        self._done = asyncio.Event()

    async def run(self) -> Seen:
        await self._connect()
        cpu_s, begin = time.process_time(), time.monotonic()
        self._until = begin + self._job.seconds
        if self._job.rate is None:
            self._refill(begin)
        else:
            await self._pace(self._job.rate, begin)
        await self._until_done()
        cpu_s = time.process_time() - cpu_s
        await asyncio.sleep(_LINGER_S)
        for data, at in self._reads:
            self._judge.take(data, at)
        return self._told(begin, cpu_s)

    async def _connect(self) -> None:
        job = self._job
        name = job.outlet.strip("/").replace("/", "-")
        unpublished = tuple(prefix + job.stream for prefix in UNPUBLISHED)
        opened = await open_link(
            job.port, f"{name}-sink", subscribe=(f"{job.outlet}#", *unpublished)
        )
        rest_s = _REST_S if job.rate is None else 0.0
        sink = Sink(opened.transport, self._see, rest_s)
        opened = await open_link(job.port, f"{name}-feeder")
        self._feeder = Feeder(opened.transport, self._acknowledge, rest_s)
        for link in (sink, self._feeder):
            link.transport.set_protocol(link)
            link.lost.add_done_callback(self._end_with)

    def _end_with(self, lost: asyncio.Future[None]) -> None:
        print(f"outside: a connection was cut: {lost.exception()}", file=sys.stderr)
        self._has_sent_all = True
        self._done.set()

    def _acknowledge(self, count: int) -> None:
        self._acknowledged += count
        if self._job.rate is None:
            self._refill(time.monotonic())

    def _see(self, data: bytes, count: int, at: float) -> None:
        if self._job.is_long:
            self._judge.take(data, at)
        else:
            self._reads.append((data, at))
        self._seen += count
        if self._has_sent_all:
            if self._seen >= self._sent:
                self._done.set()
        elif self._job.rate is None:
            self._refill(at)

    def _refill(self, now: float) -> None:
        if self._has_sent_all:
            return
        if now >= self._until:
            self._close()
            return
        back = self._acknowledged
        if self._job.until == "seen":
            back = min(back, self._seen)
        self._send(self._job.outstanding - self._sent + back, now)

    def _send(self, count: int, now: float) -> None:
        count = min(count, self._job.count - self._sent)
        if count <= 0 or self._feeder is None:
            return
        for data in self._packets.take(self._sent, self._sent + count):
            self._feeder.transport.write(data)
        self._sent += count
        self._sends.append((self._sent, now))
        if self._sent == self._job.count:
            self._close()

    def _close(self) -> None:
        self._has_sent_all = True
        if self._seen >= self._sent:
            self._done.set()

    async def _pace(self, rate: float, begin: float) -> None:
        while not self._has_sent_all:
            now = time.monotonic()
            if now >= self._until:
                self._close()
                return
            self._send(int((now - begin) * rate) + 1 - self._sent, now)
            await asyncio.sleep(max(0.0, begin + self._sent / rate - time.monotonic()))

    async def _until_done(self) -> None:
        before = (-1, -1)
        while before != (now := (self._sent, self._seen)) and not self._done.is_set():
            before = now
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._done.wait(), self._job.stalled_s)

    def _told(self, begin: float, cpu_s: float) -> Seen:
        judge, sent_at = self._judge, self._sent_at()
        latency_ms = (judge.times[: self._sent] - sent_at) * 1000
        latency_ms = latency_ms[~np.isnan(latency_ms)]
        some = latency_ms if latency_ms.size else np.array([np.nan])
        p50, p99, most = np.percentile(some, (50, 99, 100))
        last = np.nanmax(judge.times) if latency_ms.size else np.nan
        elapsed_s = float(last - sent_at[0])
        late_ms = np.array([0.0])
        if self._job.rate is not None:
            late_ms = (sent_at - begin - np.arange(self._sent) / self._job.rate) * 1000
        return Seen(
            sent=self._sent,
            published_s=float(sent_at[-1] - sent_at[0]),
            elapsed_s=elapsed_s,
            rate=judge.results / elapsed_s,
            p50_ms=float(p50),
            p99_ms=float(p99),
            max_ms=float(most),
            missing=self._sent - judge.results - judge.reconciled,
            repeated=judge.repeated,
            foreign=judge.foreign,
            wrong=judge.wrong,
            same_key=judge.same_key,
            reconciled=judge.reconciled,
            late_p99_ms=float(np.percentile(late_ms, 99)),
            cpu_s=cpu_s,
        )

    def _sent_at(self) -> npt.NDArray[np.float64]:
        """When each message was published."""
        totals = np.array([total for total, _ in self._sends])
        times = np.array([at for _, at in self._sends])
        return np.repeat(times, np.diff(totals, prepend=0))


async def _main(job: Job) -> Seen:
    return await Outside(job).run()


if __name__ == "__main__":
    _fields: dict[str, Any] = json.loads(sys.argv[1])
    print(json.dumps(asdict(asyncio.run(_main(Job(**_fields))))))
