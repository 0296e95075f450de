"""Several processes as their pages show them: as one service."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

from geoweir.app.fleet import accounts
from geoweir.app.fleet.keeper import Keeper
from geoweir.app.fleet.wire import Report
from geoweir.telemetry import merged
from geoweir.web.status import (
    Condition,
    ConnectionView,
    Overview,
    RecentView,
    State,
    StoreState,
    StreamState,
)

__all__ = ["FleetStatus"]

#: How long a process may be away, or not answer, before the whole is not live.
_AWAY_S: Final = 60.0
_SILENT_S: Final = 10.0
_RECENT: Final = 20
_SUPERVISOR: Final = "supervisor"


class FleetStatus:
    """Answers ``web.status.Status`` from what the processes said last.

    Attributes:
        state: of the whole.
        is_reload_good: whether the configuration is the one that was last asked for.
    """

    def __init__(self, keepers: Sequence[Keeper], *, streams: Iterable[str], version: str) -> None:
        self._keepers = keepers
        self._streams = list(streams)
        self._version = version
        self._started = time.time()
        self._started_at = time.monotonic()
        self._conditions: dict[str, Condition] = {}
        self._registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._registry)
        self.state: Any = "starting"
        self.is_reload_good = True

    def account(self) -> dict[str, Any]:
        """The sum, with what ended processes left, and each process beside it."""
        account = accounts.total(
            [
                accounts.empty(self._streams),
                *(keeper.past_account for keeper in self._keepers),
                *(report.account for report in self._reports()),
            ]
        )
        return {**account, "processes": [self._process(keeper) for keeper in self._keepers]}

    def overview(self) -> Overview:
        """The sum of what the processes' pages would show."""
        views = [report.overview for report in self._reports()]
        recent: list[RecentView] = sorted(
            (one for view in views for one in view["recent"]), key=lambda one: -one["at"]
        )
        workers: dict[str, int] = {}
        for view in views:
            for state, count in view["workers"].items():
                workers[state] = workers.get(state, 0) + count
        states = ", ".join(f"{k.index} {_state(k)}" for k in self._keepers)
        return {
            "version": self._version,
            "started": self._started,
            "state": self.state,
            "notice": f"{len(self._keepers)} processes, their sum: {states}.",
            "connections": self._connections(),
            "workers": workers,
            "queue": {
                "messages": sum(view["queue"]["messages"] for view in views),
                "limit": sum(view["queue"]["limit"] for view in views),
            },
            "recent": recent[:_RECENT],
            "loop_lag_p99_s": max((view["loop_lag_p99_s"] for view in views), default=0.0),
        }

    def now(self) -> State:
        """The sum of what the processes' states say; their workers numbered through."""
        states = [report.state for report in self._reports()]
        workers = [worker for state in states for worker in state["workers"]]
        return {
            "version": self._version,
            "started": self._started,
            "up_s": time.monotonic() - self._started_at,
            "state": self.state,
            "account": self.account(),
            "streams": {
                name: _together([state["streams"][name] for state in states])
                for name in self._streams
            },
            "queue": {
                "messages": sum(state["queue"]["messages"] for state in states),
                "limit": sum(state["queue"]["limit"] for state in states),
            },
            "connections": self._connections(),
            "workers": [{**worker, "worker": place} for place, worker in enumerate(workers)],
            "worker_memory_limit": max((s["worker_memory_limit"] for s in states), default=0),
            "loop_lag_p99_s": max((state["loop_lag_p99_s"] for state in states), default=0.0),
            "watchers": sum(state["watchers"] for state in states),
            "store": _stores([state["store"] for state in states]),
            "spill": {
                "messages": sum(state["spill"]["messages"] for state in states),
                "bytes": sum(state["spill"]["bytes"] for state in states),
                "limit": sum(state["spill"]["limit"] for state in states),
            },
        }

    def alive(self) -> Condition:
        """Whether every process makes progress, or will be back soon."""
        now = time.monotonic()
        problems = [p for keeper in self._keepers if (p := _trouble(keeper, now))]
        return self._since("progress", not problems, "; ".join(problems))

    def ready(self) -> list[Condition]:
        """Whether every process is ready, and the sum balanced."""
        account = self.account()
        # Two faults of opposite sign would hide each other in the sum.
        parts = [account, *(report.account for report in self._reports())]
        wrong = max((part["unaccounted"] for part in parts), key=abs)
        return [
            *(
                self._since(f"process-{keeper.index}", not why, why or "ready")
                for keeper, why in ((keeper, _unready(keeper)) for keeper in self._keepers)
            ),
            self._since("balanced", wrong == 0, f"{wrong} unaccounted"),
            self._since("online", self.state == "online", self.state),
        ]

    def metrics(self) -> bytes:
        """One page for all, in Prometheus's text format."""
        living = {str(k.index): merged.read(k.report.metrics) for k in self._keepers if k.report}
        page = merged.merge(
            (keeper.past_page for keeper in self._keepers), living, len(self._keepers)
        )
        own = merged.labelled(merged.read(generate_latest(self._registry)), _SUPERVISOR)
        for name, family in own.items():
            page.setdefault(name, merged.Family(family.help, family.kind)).series |= family.series
        return merged.write(page | self._places())

    def _places(self) -> merged.Page:
        def series(name: str, values: Iterable[float]) -> dict[str, float]:
            return {f'{name}{{process="{n}"}}': value for n, value in enumerate(values)}

        up, deaths = "geoweir_process_up", "geoweir_process_deaths_total"
        reloaded = "geoweir_config_last_reload_successful"
        return {
            reloaded: merged.Family(
                "1 unless a changed configuration was refused.",
                "gauge",
                {reloaded: float(self.is_reload_good)},
            ),
            up: merged.Family(
                "1 while the process is there and ready.",
                "gauge",
                series(up, (float(_state(k) == "online") for k in self._keepers)),
            ),
            deaths: merged.Family(
                "Processes that ended otherwise than in order, by their place.",
                "counter",
                series(deaths, (k.deaths for k in self._keepers)),
            ),
        }

    def _reports(self) -> Iterator[Report]:
        return (keeper.report for keeper in self._keepers if keeper.report is not None)

    @staticmethod
    def _process(keeper: Keeper) -> dict[str, Any]:
        life, report = keeper.life, keeper.report
        view: dict[str, Any] = {
            "process": keeper.index,
            "state": _state(keeper),
            "pid": None if life is None else life.pid,
            "deaths": keeper.deaths,
        }
        if life is not None and report is not None:
            streams = report.account["streams"].values()
            view |= {
                "received": sum(stream["received"] for stream in streams),
                "in_flight": sum(stream["in_flight"] for stream in streams),
                "unaccounted": report.account["unaccounted"],
                # How old the numbers are that it has in the sum.
                "age_s": round(time.monotonic() - life.reported, 3),
            }
        return view

    def _connections(self) -> list[ConnectionView]:
        """One row for the outputs and one for each stream: up when it is up in every process."""
        rows: dict[tuple[str, str], ConnectionView] = {}
        for keeper in self._keepers:
            report = keeper.report
            for link in report.overview["connections"] if report is not None else ():
                key = link["direction"], link["stream"]
                said = link["detail"] and f"process {keeper.index}: {link['detail']}"
                before = rows.get(key)
                if before is None:
                    rows[key] = {**link, "detail": said}
                    continue
                before["up"] = before["up"] and link["up"]
                before["since"] = max(before["since"], link["since"])
                before["detail"] = "; ".join(filter(None, (before["detail"], said)))
        return sorted(rows.values(), key=lambda row: (row["direction"] != "out", row["stream"]))

    def _since(self, name: str, ok: bool, detail: str) -> Condition:  # noqa: FBT001
        before = self._conditions.get(name)
        since = before.since if before is not None and before.ok == ok else time.time()
        self._conditions[name] = Condition(name, ok, since, detail)
        return self._conditions[name]


def _stores(stores: Sequence[StoreState]) -> StoreState:
    """The stores of all processes; each has a file of its own."""
    retried: Counter[str] = Counter()
    for store in stores:
        retried.update(store["retried"])
    return {
        "path": ", ".join(store["path"] for store in stores if store["path"]) or None,
        "works": all(store["works"] for store in stores),
        "detail": "; ".join(store["detail"] for store in stores if store["detail"]),
        "messages": sum(store["messages"] for store in stores),
        "bytes": sum(store["bytes"] for store in stores),
        "retrying": sum(store["retrying"] for store in stores),
        "retried": dict(retried),
    }


def _together(streams: Sequence[StreamState]) -> StreamState:
    """One stream over all processes."""
    bounds: dict[float | None, int] = {}
    for stream in streams:
        for bound, count in stream["latency"]:
            bounds[bound] = bounds.get(bound, 0) + count
    return {
        "oldest_s": max((stream["oldest_s"] for stream in streams), default=0.0),
        "last_received": max((stream["last_received"] for stream in streams), default=0.0),
        "is_paused": any(stream["is_paused"] for stream in streams),
        "latency": list(bounds.items()),
    }


def _state(keeper: Keeper) -> str:
    if keeper.life is None:
        return "ended" if keeper.is_leaving else "restarting" if keeper.deaths else "starting"
    if keeper.is_leaving:
        return "draining"
    return "online" if keeper.life.is_ready else "starting"


def _trouble(keeper: Keeper, now: float) -> str:
    """Why a process keeps the whole from being live; empty where it doesn't."""
    life, who = keeper.life, f"process {keeper.index}"
    if keeper.is_leaving:
        return ""
    if life is None or life.report is None:
        away_s = now - keeper.since
        return f"{who} has not come up for {away_s:.0f} s" if away_s > _AWAY_S else ""
    silent_s = now - life.reported
    if silent_s > _SILENT_S:
        return f"{who} has not answered for {silent_s:.0f} s"
    return "" if life.report.alive.ok else f"{who}: {life.report.alive.detail}"


def _unready(keeper: Keeper) -> str:
    """Why a process is not ready; empty where it is."""
    report = keeper.report
    if report is None or keeper.life is None or not keeper.life.is_ready:
        return _state(keeper)
    return "; ".join(f"{one.name}: {one.detail}" for one in report.ready if not one.ok)
