"""The world outside: feeds a candidate through the broker and checks what comes back.

A process of its own, run once per phase with a job as JSON; prints the outcome as JSON. Feeder and
sink share one loop so that the feeder can hold a bounded number of messages between itself and the
sink: at saturation that bound and the rate decide the latency alike for every candidate. What
arrived is looked into only when the phase is over.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from wire import Wire, connect, publish_packet
from workload import IN, OUT, read_expected, read_messages

__all__ = ["Job", "Seen"]

_SEQUENCE: Final = re.compile(rb'"seq":\s*(\d+)')
_STALLED_S: Final = 15.0  # without one result
_LINGER_S: Final = 0.25  # for repeats after the last one


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to do in one phase.

    Attributes:
        port: the broker's, on 127.0.0.1.
        folder: of the workload.
        first: number of the first message.
        count: how many.
        outstanding: published and not seen again at most.
        rate: messages a second; None for as fast as they come back.
        is_direct: straight to the sink, with no candidate between.
        is_joined: whether results carry the join's attribute.
    """

    port: int
    folder: str
    first: int
    count: int
    outstanding: int
    rate: float | None
    is_direct: bool
    is_joined: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What an outside subscriber saw in one phase.

    Attributes:
        elapsed_s: from the first publish to the last result.
        missing: inputs with no result.
        repeated: results beyond the first of an input.
        foreign: messages that are no result of this phase (rejections and reconciliations too).
        wrong: results whose attribute differs from a direct computation.
        same_key: results with the key of another one.
        cpu_s: of this process while it measured.
    """

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
    cpu_s: float


class Outside:
    """Feeder and sink of one phase."""

    def __init__(self, job: Job) -> None:
        self._job = job
        prefix = OUT if job.is_direct else IN
        messages = read_messages(Path(job.folder))[job.first : job.first + job.count]
        self._packets = [
            publish_packet(prefix + topic, payload, number)
            for number, (topic, payload) in enumerate(messages)
        ]
        self._sent_at = np.zeros(job.count)
        self._arrived: list[tuple[list[bytes], float]] = []
        self._sent = self._acknowledged = self._seen = 0
        self._feeder: Wire | None = None
        self._done = asyncio.Event()

    async def run(self) -> Seen:
        job = self._job
        await connect(
            job.port,
            "bench-sink",
            on_messages=self._see,
            subscribe=(OUT + "#", "geoweir/rejected/#", "geoweir/reconcile/#"),
        )
        self._feeder = await connect(job.port, "bench-feeder", on_acknowledged=self._acknowledge)
        cpu_s = time.process_time()
        if job.rate is None:
            self._refill()
        else:
            await self._pace(job.rate)
        await self._until_done()
        cpu_s = time.process_time() - cpu_s
        await asyncio.sleep(_LINGER_S)
        return self._judge(cpu_s)

    def _acknowledge(self, count: int) -> None:
        self._acknowledged += count
        if self._job.rate is None:
            self._refill()

    def _see(self, payloads: list[bytes], at: float) -> None:
        self._arrived.append((payloads, at))
        self._seen += len(payloads)
        if self._seen >= self._job.count:
            self._done.set()
        elif self._job.rate is None:
            self._refill()

    def _refill(self) -> None:
        under_way = self._sent - min(self._acknowledged, self._seen)
        self._send(min(self._job.outstanding - under_way, self._job.count - self._sent))

    def _send(self, count: int) -> None:
        if count <= 0 or self._feeder is None:
            return
        until = self._sent + count
        self._sent_at[self._sent : until] = time.monotonic()
        self._feeder.write(b"".join(self._packets[self._sent : until]))
        self._sent = until

    async def _pace(self, rate: float) -> None:
        begin = time.monotonic()
        while self._sent < self._job.count:
            due = int((time.monotonic() - begin) * rate) + 1
            self._send(min(due, self._job.count) - self._sent)
            await asyncio.sleep(max(0.0, begin + self._sent / rate - time.monotonic()))

    async def _until_done(self) -> None:
        before = -1
        while before != self._seen and not self._done.is_set():
            before = self._seen
            try:
                await asyncio.wait_for(self._done.wait(), _STALLED_S)
            except TimeoutError:
                continue

    def _judge(self, cpu_s: float) -> Seen:
        times = np.full(self._job.count, np.nan)
        counts: Counter[int] = Counter()
        expected = read_expected(Path(self._job.folder)) if self._job.is_joined else None
        keys: Counter[str] = Counter()
        foreign = wrong = 0
        for payloads, at in self._arrived:
            for payload in payloads:
                index = self._index(payload)
                if index is None:
                    foreign += 1
                    continue
                counts[index] += 1
                if counts[index] == 1:
                    times[index] = at
                if expected is not None:
                    feature = orjson.loads(payload)
                    allowed = expected[self._job.first + index]
                    wrong += feature["properties"]["areas_name"] not in allowed
                    keys[feature.get("geoweir", {}).get("key", str(index))] += 1
        elapsed_s = float(np.nanmax(times) - self._sent_at[0]) if counts else float("nan")
        latency_ms = (times - self._sent_at)[~np.isnan(times)] * 1000
        p50, p99, most = np.percentile(latency_ms, (50, 99, 100)) if counts else [float("nan")] * 3
        return Seen(
            elapsed_s=elapsed_s,
            rate=len(counts) / elapsed_s,
            p50_ms=float(p50),
            p99_ms=float(p99),
            max_ms=float(most),
            missing=self._job.count - len(counts),
            repeated=counts.total() - len(counts),
            foreign=foreign,
            wrong=wrong,
            same_key=keys.total() - len(keys),
            cpu_s=cpu_s,
        )

    def _index(self, payload: bytes) -> int | None:
        """Which of this phase's messages a result answers."""
        found = _SEQUENCE.search(payload)
        index = int(found[1]) - self._job.first if found else -1
        return index if 0 <= index < self._job.count else None


async def _main(job: Job) -> Seen:
    return await Outside(job).run()


if __name__ == "__main__":
    _fields: dict[str, Any] = json.loads(sys.argv[1])
    print(json.dumps(asdict(asyncio.run(_main(Job(**_fields))))))
