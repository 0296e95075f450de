"""The service as its pages see it: one snapshot per question."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from math import isinf
from typing import Any, Literal

from geoweir.app.flow import Flow
from geoweir.app.reporting import Link, Reporting
from geoweir.core.progress import Progress, patience
from geoweir.pool.supervisor import Pool
from geoweir.settings.values import Settings
from geoweir.store.spill.files import FileSpill
from geoweir.store.sqlite import SqliteStore
from geoweir.telemetry.exposition import render
from geoweir.telemetry.histogram import Histogram
from geoweir.telemetry.lag import LagMeter
from geoweir.telemetry.metrics import Metrics
from geoweir.telemetry.snapshot import GatewayReading, SlotReading, Snapshot, reasons_of
from geoweir.web.status import (
    Condition,
    ConnectionView,
    Overview,
    RecentView,
    SpillState,
    StoreState,
    StreamState,
)
from geoweir.web.status import State as StateView

__all__ = ["ServiceStatus"]

State = Literal["starting", "online", "draining"]


class ServiceStatus:
    """Answers ``web.status.Status`` from what the stages hold and the account says."""

    def __init__(
        self,
        *,
        settings: Settings,
        version: str,
        metrics: Metrics,
        flow: Flow,
        pool: Pool,
        lag: LagMeter,
        reporting: Reporting,
        gateway: Callable[[], GatewayReading],
        certificates: Callable[[], Mapping[str, float]],
        store: SqliteStore,
        spill: FileSpill | None,
        notice: str,
    ) -> None:
        self._settings = settings
        self._version = version
        self._account = flow.account
        self._metrics = metrics
        self._pool = pool
        self._lag = lag
        self._reporting = reporting
        self._held = flow.held
        self._at_broker = flow.at_broker
        self._forgotten = flow.forgotten
        self._queued = flow.weir.qsize
        self._chunk_limit = flow.dispatch.chunk_limit
        self._gateway = gateway
        self._certificates = certificates
        self._watchers = flow.observers.__len__
        self._store = store
        self._spill = spill
        self._retries = flow.retries
        self._notice = notice
        self._started = time.time()
        self._started_at = time.monotonic()
        self._progress = Progress(patience(settings.pool.timeout_s), self._started_at)
        self._conditions: dict[str, Condition] = {}
        self.state: State = "starting"

    def account(self) -> dict[str, Any]:
        """The account, with the reasons beside each stream's outcomes."""
        snapshot: dict[str, Any] = self._account.snapshot(self._held())
        for name, totals in self._account.totals.items():
            snapshot["streams"][name]["reasons"] = reasons_of(totals)
            snapshot["streams"][name]["returned"] = totals.returned
            snapshot["streams"][name]["retried"] = sum(self._metrics.retried[name].values())
            snapshot["streams"][name]["gaps"] = self._metrics.streams[name].gaps
            snapshot["streams"][name]["missing"] = self._metrics.streams[name].missing
        return snapshot

    def overview(self) -> Overview:
        """What the status page shows beside the account."""
        recent: list[RecentView] = [
            {
                "at": drop.at,
                "stream": drop.stream,
                "outcome": str(drop.outcome),
                "reason": drop.reason,
                "n": drop.n,
                "detail": drop.detail,
            }
            for drop in reversed(self._metrics.recent)
        ]
        return {
            "version": self._version,
            "started": self._started,
            "state": self.state,
            "notice": self._notice,
            "connections": [self._connection(link) for link in self._reporting.links],
            "workers": self._snapshot().workers(),
            "queue": {"messages": self._queued(), "limit": self._settings.queue_limit},
            "recent": recent,
            "loop_lag_p99_s": self._lag.p99_s(),
        }

    def now(self) -> StateView:
        """Everything of one moment."""
        oldest = self._snapshot().oldest_in_flight_s
        return {
            "version": self._version,
            "started": self._started,
            "up_s": time.monotonic() - self._started_at,
            "state": self.state,
            "account": self.account(),
            "streams": {name: self._stream(name, age) for name, age in oldest.items()},
            "queue": {"messages": self._queued(), "limit": self._settings.queue_limit},
            "connections": [self._connection(link) for link in self._reporting.links],
            "workers": [
                {
                    "worker": slot.worker,
                    "state": str(slot.state),
                    "pid": slot.pid,
                    "busy_s": slot.busy_seconds,
                    "private_bytes": slot.private_bytes,
                    "restarts": slot.restarts,
                }
                for slot in self._pool.stats()
            ],
            "worker_memory_limit": self._settings.pool.memory,
            "loop_lag_p99_s": self._lag.p99_s(),
            "watchers": self._watchers(),
            "store": self._store_state(),
            "spill": self._spill_state(),
        }

    def alive(self) -> Condition:
        """Whether what waits for us moves; what waits for the broker is not ours to move."""
        held = sum(self._held().values())
        ok = self._progress.look(
            time.monotonic(),
            waiting=held,
            is_outside=not self._reporting.can_send() or self._at_broker() > 0,
            mark=(self._reporting.last_outcome, sum(slot.answers for slot in self._pool.stats())),
            is_stuck=self._pool.is_stuck(),
        )
        silent_s = self._progress.silent_s
        detail = "" if ok else f"{held} inputs wait, and none moved for {silent_s:.0f} s"
        return self._since(Condition("progress", ok, 0.0, detail))

    def ready(self) -> list[Condition]:
        """Connected in and out, workers up, account balanced."""
        links = self._reporting.links
        workers = self._snapshot().workers()
        up = workers["idle"] + workers["busy"]
        unaccounted = self._account.unaccounted(self._held())
        return [
            *(
                self._since(
                    Condition(
                        f"connected-{link.direction}{'-' if link.stream else ''}{link.stream}",
                        link.up,
                        0.0,
                        link.detail,
                    )
                )
                for link in links
            ),
            self._since(Condition("workers", up > 0, 0.0, f"{up} of {len(self._pool.stats())} up")),
            self._since(Condition("balanced", unaccounted == 0, 0.0, f"{unaccounted} unaccounted")),
            self._since(Condition("online", self.state == "online", 0.0, self.state)),
        ]

    def metrics(self) -> bytes:
        """Prometheus's text format."""
        return render(self._metrics, self._snapshot())

    def _store_state(self) -> StoreState:
        store, trouble = self._store, self._store.trouble
        outcomes: Counter[str] = Counter()
        for counts in self._metrics.retried.values():
            outcomes.update({str(outcome): n for outcome, n in counts.items()})
        return {
            "path": None if store.path is None else str(store.path),
            "works": trouble is None,
            "detail": "" if trouble is None else f"{trouble.why}: {trouble.detail}",
            "messages": store.totals.inputs,
            "bytes": store.totals.bytes,
            "retrying": len(self._retries),
            "retried": dict(outcomes),
        }

    def _spill_state(self) -> SpillState:
        spill = self._spill
        if spill is None:
            return {"messages": 0, "bytes": 0, "limit": 0}
        totals = spill.totals.values()
        return {
            "messages": sum(one.messages for one in totals),
            "bytes": sum(one.bytes for one in totals),
            "limit": spill.limit,
        }

    def _stream(self, name: str, oldest_s: float) -> StreamState:
        meters = self._metrics.streams[name]
        return {
            "oldest_s": oldest_s,
            "last_received": meters.last_received,
            "is_paused": meters.pause.is_on,
            "latency": _buckets(meters.latency_s),
        }

    def _since(self, condition: Condition) -> Condition:
        before = self._conditions.get(condition.name)
        since = before.since if before is not None and before.ok == condition.ok else time.time()
        condition = Condition(condition.name, condition.ok, since, condition.detail)
        self._conditions[condition.name] = condition
        return condition

    def _connection(self, link: Link) -> ConnectionView:
        return {
            "direction": link.direction,
            "stream": link.stream,
            "address": f"{self._settings.mqtt.host}:{self._settings.mqtt.port}",
            "up": link.up,
            "since": link.since,
            "detail": "" if link.up else link.detail,
        }

    def _snapshot(self) -> Snapshot:
        held = self._held()
        spill = self._spill_state()
        now = time.monotonic()
        oldest = {name: self._account.oldest(name) for name in self._account.totals}
        return Snapshot(
            streams=self._account.totals,
            in_flight=held,
            unaccounted=self._account.unaccounted(held),
            oldest_in_flight_s={
                name: 0.0 if at is None else max(0.0, now - at) for name, at in oldest.items()
            },
            queue_messages=self._queued(),
            queue_limit=self._settings.queue_limit,
            receive_window=self._settings.mqtt.receive_window,
            chunk_limit=self._chunk_limit(),
            slots=[
                SlotReading(
                    state=str(slot.state),
                    busy_s=slot.busy_seconds,
                    private_bytes=slot.private_bytes,
                )
                for slot in self._pool.stats()
            ],
            worker_memory_limit=self._settings.pool.memory,
            kept_messages=self._store.totals.inputs,
            kept_bytes=self._store.totals.bytes,
            retrying=len(self._retries),
            spill_messages=spill["messages"],
            spill_bytes=spill["bytes"],
            spill_limit=spill["limit"],
            gateway=self._gateway(),
            forgotten=self._forgotten(),
            certificates={name: end - time.time() for name, end in self._certificates().items()},
        )


def _buckets(histogram: Histogram) -> list[tuple[float | None, int]]:
    """Bounds and the observations up to each; JSON has no infinity for the last one."""
    return [(None if isinf(bound) else bound, n) for bound, n in histogram.cumulative()]
