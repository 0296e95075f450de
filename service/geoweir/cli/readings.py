"""What ``top`` shows: rates and quantiles between two readings of ``/api/state``; pure."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from geoweir.core.quantile import quantile

__all__ = ["Reading", "StreamView", "Totals", "View", "WorkerView", "decode", "view"]

_MOVING: Final = ("received", "published", "filtered", "rejected", "reconciled")
_Buckets = list[tuple[float | None, int]]
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e12)]


class _Stream(msgspec.Struct):
    oldest_s: _Seconds
    is_paused: bool
    latency: _Buckets


class _Queue(msgspec.Struct):
    messages: int
    limit: int


class _Connection(msgspec.Struct):
    direction: str
    stream: str
    up: bool
    detail: str


class _Worker(msgspec.Struct):
    worker: int
    state: str
    busy_s: _Seconds
    private_bytes: int
    restarts: int


class Totals(msgspec.Struct, kw_only=True):
    """A stream's part of the account."""

    received: int
    published: int
    filtered: int
    rejected: int
    reconciled: int
    in_flight: int
    redelivered: int
    returned: int = 0
    retried: int = 0
    gaps: int = 0
    missing: int = 0
    reasons: dict[str, dict[str, int]] = {}


class _Account(msgspec.Struct):
    streams: dict[str, Totals]
    unaccounted: int


class Reading(msgspec.Struct):
    """``/api/state``, as far as it is shown."""

    version: str
    started: _Seconds
    up_s: _Seconds
    state: str
    account: _Account
    streams: dict[str, _Stream]
    queue: _Queue
    connections: list[_Connection]
    workers: list[_Worker]
    worker_memory_limit: int
    loop_lag_p99_s: _Seconds


class StreamView(msgspec.Struct, kw_only=True):
    """One stream: what is per second and the latencies are of the time between the readings."""

    per_second: dict[str, float | None]
    oldest_s: float
    is_paused: bool
    latency_p50_s: float | None
    latency_p99_s: float | None


class WorkerView(msgspec.Struct, kw_only=True):
    """One worker slot; ``busy`` is a share of the time between the readings."""

    worker: int
    state: str
    busy: float | None
    private_bytes: int
    restarts: int


class View(msgspec.Struct, kw_only=True):
    """Everything that is shown at once."""

    version: str
    state: str
    up_s: float
    between_s: float | None
    account: _Account
    queue: _Queue
    connections: list[_Connection]
    loop_lag_p99_s: float
    worker_memory_limit: int
    streams: dict[str, StreamView]
    workers: list[WorkerView]


def decode(body: bytes) -> Reading:
    """A reading.

    Raises:
        msgspec.MsgspecError: the body is none.
    """
    return msgspec.json.decode(body, type=Reading)


def view(before: Reading | None, now: Reading) -> View:
    """What there is to see; without a reading before, or across a restart, there are no rates."""
    if before is not None and (before.started != now.started or before.up_s >= now.up_s):
        before = None
    return View(
        version=now.version,
        state=now.state,
        up_s=now.up_s,
        between_s=None if before is None else now.up_s - before.up_s,
        account=now.account,
        queue=now.queue,
        connections=now.connections,
        loop_lag_p99_s=now.loop_lag_p99_s,
        worker_memory_limit=now.worker_memory_limit,
        streams={
            name: _stream(name, before, now) for name in now.account.streams if name in now.streams
        },
        workers=[_worker(number, before, now) for number in range(len(now.workers))],
    )


def _stream(name: str, before: Reading | None, now: Reading) -> StreamView:
    totals, stream = now.account.streams[name], now.streams[name]
    per_second: dict[str, float | None] = dict.fromkeys(_MOVING)
    new: _Buckets = []
    if before is not None and name in before.streams and name in before.account.streams:
        earlier, seconds = before.account.streams[name], now.up_s - before.up_s
        for key in _MOVING:
            # What a lost connection voids leaves ``received`` again: no rate is below 0.
            more = max(0, getattr(totals, key) - getattr(earlier, key))
            per_second[key] = more / seconds
        new = _since(before.streams[name].latency, stream.latency)
    return StreamView(
        per_second=per_second,
        oldest_s=stream.oldest_s,
        is_paused=stream.is_paused,
        latency_p50_s=quantile(new, 0.5),
        latency_p99_s=quantile(new, 0.99),
    )


def _worker(number: int, before: Reading | None, now: Reading) -> WorkerView:
    slot = now.workers[number]
    busy = None
    if before is not None and number < len(before.workers):
        busy_s = slot.busy_s - before.workers[number].busy_s
        busy = min(1.0, max(0.0, busy_s / (now.up_s - before.up_s)))
    return WorkerView(
        worker=slot.worker,
        state=slot.state,
        busy=busy,
        private_bytes=slot.private_bytes,
        restarts=slot.restarts,
    )


def _since(before: _Buckets, now: _Buckets) -> _Buckets:
    if len(before) != len(now):
        return []
    return [
        (bound, count - earlier) for (bound, count), (_, earlier) in zip(now, before, strict=True)
    ]
