"""A status without a service, for the tests of what is served of it."""

from __future__ import annotations

from typing import Any

from geoweir.core.account import Account
from geoweir.telemetry.exposition import render
from geoweir.telemetry.metrics import Metrics
from geoweir.telemetry.snapshot import Snapshot
from geoweir.web.status import Condition, Overview, State

__all__ = ["QuietService"]


class QuietService:
    """A service that runs without inputs; conditions can be set."""

    def __init__(self) -> None:
        self._account = Account(["buses"])
        self._metrics = Metrics(streams={"buses": []}, version="1.2.3")
        self.is_live = True
        self.conditions = [Condition("connected-out", ok=True, since=1.0)]
        self.is_broken = False

    def account(self) -> dict[str, Any]:
        if self.is_broken:
            raise RuntimeError("a secret inside")
        return self._account.snapshot({})

    def overview(self) -> Overview:
        return Overview(
            version="1.2.3",
            started=1.0,
            state="online",
            notice="",
            connections=[],
            workers={"idle": 1},
            queue={"messages": 0, "limit": 500},
            recent=[],
            loop_lag_p99_s=0.001,
        )

    def now(self) -> State:
        return State(
            version="1.2.3",
            started=1.0,
            up_s=10.0,
            state="online",
            account=self.account(),
            streams={
                "buses": {
                    "oldest_s": 0.0,
                    "last_received": 0.0,
                    "is_paused": False,
                    "latency": [(0.1, 0), (None, 0)],
                }
            },
            queue={"messages": 0, "limit": 500},
            spill={"messages": 0, "bytes": 0, "limit": 0},
            connections=[],
            workers=[],
            worker_memory_limit=150_000_000,
            loop_lag_p99_s=0.001,
            watchers=0,
            store={
                "path": None,
                "works": True,
                "detail": "",
                "messages": 0,
                "bytes": 0,
                "retrying": 0,
                "retried": {},
            },
        )

    def alive(self) -> Condition:
        return Condition("progress", ok=self.is_live, since=2.0, detail="chunk 7 hangs")

    def ready(self) -> list[Condition]:
        return self.conditions

    def metrics(self) -> bytes:
        totals = self._account.totals
        return render(self._metrics, Snapshot(streams=totals, in_flight={}, unaccounted=0))
