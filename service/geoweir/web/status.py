"""What the pages show of the service: the one seam between ``web`` and what runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypedDict

__all__ = [
    "Condition",
    "ConnectionView",
    "Face",
    "Overview",
    "QueueView",
    "RecentView",
    "SpillState",
    "State",
    "Status",
    "StoreState",
    "StreamState",
    "WorkerState",
]


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that must hold, and since when it is as it is (wall clock, Unix seconds)."""

    name: str
    ok: bool
    since: float
    detail: str = ""


class ConnectionView(TypedDict):
    """A connection to the broker; ``stream`` is empty for the outputs' one."""

    direction: Literal["in", "out"]
    stream: str
    address: str  # host:port
    up: bool
    since: float  # Unix seconds
    detail: str  # why it is down


class QueueView(TypedDict):
    """The weir, in messages."""

    messages: int
    limit: int


class RecentView(TypedDict):
    """The last time that inputs were rejected or reconciled for a reason."""

    at: float  # Unix seconds
    stream: str
    outcome: str
    reason: str
    n: int
    detail: str


class Overview(TypedDict):
    """What the status page shows beside the account."""

    version: str
    started: float  # Unix seconds
    state: Literal["starting", "online", "draining"]
    notice: str  # plain text for a note on the page; empty for none
    connections: list[ConnectionView]
    workers: dict[str, int]  # slots by state
    queue: QueueView
    recent: list[RecentView]  # newest first
    loop_lag_p99_s: float


class StreamState(TypedDict):
    """A stream now, beside its part of the account."""

    oldest_s: float  # age of the oldest input without an outcome; 0 where there is none
    last_received: float  # Unix seconds; 0 before the first
    is_paused: bool  # a bound is reached, and its connection is not read
    latency: list[tuple[float | None, int]]  # inputs up to each bound in seconds; None: no bound


class WorkerState(TypedDict):
    """A worker slot now."""

    worker: int
    state: str
    pid: int | None
    busy_s: float  # since the start
    private_bytes: int
    restarts: int


class StoreState(TypedDict):
    """The state store now."""

    path: str | None  # None: memory
    works: bool
    detail: str  # why it does not
    messages: int  # dropped inputs that are kept
    bytes: int
    retrying: int  # of them, on their way again
    retried: dict[str, int]  # since the start, by outcome


class SpillState(TypedDict):
    """The spill now; all zero without one."""

    messages: int  # inputs in it without an outcome
    bytes: int
    limit: int


class State(TypedDict):
    """What ``/api/state`` says: everything of one moment that a person on call asks for first."""

    version: str
    started: float  # Unix seconds
    up_s: float  # since then, on the monotonic clock: rates are differences by it
    state: Literal["starting", "online", "draining"]
    account: dict[str, Any]
    streams: dict[str, StreamState]
    queue: QueueView
    connections: list[ConnectionView]
    workers: list[WorkerState]
    worker_memory_limit: int
    loop_lag_p99_s: float
    watchers: int
    store: StoreState
    spill: SpillState


class Status(Protocol):
    """The service as its pages see it. Every answer is made at once, on the event loop."""

    def account(self) -> dict[str, Any]:
        """The account in the shape of ``GET /api/account``; extra members are passed on."""
        ...

    def overview(self) -> Overview:
        """What the status page shows beside the account."""
        ...

    def now(self) -> State:
        """Streams, workers, connections, queue and the account of one moment."""
        ...

    def alive(self) -> Condition:
        """Whether the service makes progress; that the loop turns is shown by answering."""
        ...

    def ready(self) -> list[Condition]:
        """Connected in and out, workers up, account balanced."""
        ...

    def metrics(self) -> bytes:
        """Prometheus's text format 0.0.4."""
        ...


class Face(Protocol):
    """Where a status is shown between ``async with`` and its end: an ``HttpServer``, usually."""

    @property
    def url(self) -> str:
        """Where a browser finds it."""
        ...
