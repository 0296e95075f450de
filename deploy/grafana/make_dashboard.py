"""Writes ``dashboards/geoweir.json``: rows of panels, described here in a line or two each.

    python deploy/grafana/make_dashboard.py

Grafana's own panels only (stat, timeseries, heatmap, table), schema 39 (Grafana 10.4 and later).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

TARGET: Final = Path(__file__).parent / "dashboards" / "geoweir.json"
_WIDTH: Final = 24
_SOURCE: Final = {"type": "prometheus", "uid": "${source}"}
#: What each expression is narrowed to.
_WHERE: Final = 'job=~"$job",instance=~"$instance"'
_OF_STREAM: Final = f'{_WHERE},stream=~"$stream"'


@dataclass(frozen=True)
class Panel:
    """One panel: its title, what it tells, and expressions with their legends.

    In expressions ``{}`` stands for the job and instance, ``{s}`` for those and the stream,
    ``{s,…}`` for those and more.
    """

    title: str
    tells: str
    queries: tuple[tuple[str, str], ...]
    kind: str = "timeseries"
    unit: str = "short"
    width: int = 8
    doc: str = "operating.md"
    steps: tuple[tuple[str, float | None], ...] = (("green", None),)
    options: dict[str, Any] = field(default_factory=dict)
    stacked: bool = False
    maximum: float | None = None

    def json(self, number: int, x: int, y: int, height: int) -> dict[str, Any]:
        """As Grafana reads it."""
        custom: dict[str, Any] = {}
        if self.kind == "timeseries":
            custom = {"fillOpacity": 12, "lineWidth": 1, "showPoints": "never"}
            if self.stacked:
                custom |= {"stacking": {"mode": "normal", "group": "A"}, "fillOpacity": 40}
        defaults: dict[str, Any] = {
            "unit": self.unit,
            "min": 0,
            "custom": custom,
            "thresholds": {
                "mode": "absolute",
                "steps": [{"color": color, "value": value} for color, value in self.steps],
            },
        }
        if self.maximum is not None:
            defaults["max"] = self.maximum
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": f"{self.tells}\n\nMore: docs/{self.doc}",
            "datasource": _SOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": height},
            "fieldConfig": {"defaults": defaults, "overrides": []},
            "options": self._options(),
            "targets": [
                {
                    "refId": chr(ord("A") + index),
                    "datasource": _SOURCE,
                    "expr": expression(text),
                    "legendFormat": legend,
                    "format": "heatmap" if self.kind == "heatmap" else "time_series",
                    "instant": self.kind in {"stat", "table"},
                }
                for index, (text, legend) in enumerate(self.queries)
            ],
        }

    def _options(self) -> dict[str, Any]:
        usual: dict[str, dict[str, Any]] = {
            "stat": {
                "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
                "colorMode": "background",
                "graphMode": "none",
                "textMode": "value_and_name" if len(self.queries) > 1 else "auto",
            },
            "timeseries": {
                "legend": {"displayMode": "list", "placement": "bottom"},
                "tooltip": {"mode": "multi", "sort": "desc"},
            },
            "heatmap": {"calculate": False, "yAxis": {"unit": self.unit}},
            "table": {},
        }
        return usual[self.kind] | self.options


def expression(text: str) -> str:
    """The text with its selectors filled in."""
    text = text.replace("{s}", f"{{{_OF_STREAM}}}").replace("{s,", f"{{{_OF_STREAM},")
    return text.replace("{}", f"{{{_WHERE}}}")


def quantile(share: str, metric: str, by: str) -> str:
    """A quantile of a histogram over five minutes."""
    return f"histogram_quantile({share}, sum by (le{by}) (rate({metric}_bucket{{s}}[5m])))"


_BAD_OVER_0: Final = (("green", None), ("red", 0.5))

ACCOUNT: Final = (
    Panel(
        "Unaccounted",
        "Inputs that have no outcome and that no stage holds. Anything but 0 is a bug: report it.",
        (("sum(geoweir_unaccounted{})", "unaccounted"),),
        kind="stat",
        width=3,
        doc="alerts.md#geoweirunaccounted",
        steps=(("red", None), ("green", 0), ("red", 0.5)),
    ),
    Panel(
        "Connected",
        "1 where every connection of the direction is up.",
        (("min by (direction) (geoweir_mqtt_connected{})", "{{direction}}"),),
        kind="stat",
        width=3,
        doc="alerts.md#geoweirbrokerlost",
        steps=(("red", None), ("green", 1)),
        options={"textMode": "value_and_name"},
    ),
    Panel(
        "Received a second",
        "Inputs read from the broker.",
        (("sum(rate(geoweir_received_total{}[1m]))", "received"),),
        kind="stat",
        unit="reqps",
        width=3,
    ),
    Panel(
        "Window in use",
        "Inputs without an outcome, by the receive window. At 1 reading pauses: the broker keeps "
        "what waits.",
        (
            (
                "max(geoweir_in_flight{s} / on (job,instance) group_left geoweir_receive_window{})",
                "",
            ),
        ),
        kind="stat",
        unit="percentunit",
        width=3,
        steps=(("green", None), ("orange", 0.8)),
    ),
    Panel(
        "Oldest without outcome",
        "Age of the oldest input that has no outcome yet.",
        (("max(geoweir_oldest_in_flight_seconds{s})", ""),),
        kind="stat",
        unit="s",
        width=3,
        doc="alerts.md#geoweirstuck",
        steps=(("green", None), ("orange", 10), ("red", 60)),
    ),
    Panel(
        "Reconciled in 24 h",
        "Inputs dropped by name (timeout, memory, crash, overflow, shutdown): "
        "geoweir reconcile list shows them.",
        (('sum(increase(geoweir_outcomes_total{s,outcome="reconciled"}[24h]))', ""),),
        kind="stat",
        width=3,
        doc="outcomes.md",
        steps=(("green", None), ("orange", 0.5)),
    ),
    Panel(
        "Outcomes a second",
        "The outcomes stacked; their sum follows what is received.",
        (
            ("sum by (outcome) (rate(geoweir_outcomes_total{s}[1m]))", "{{outcome}}"),
            ("sum(rate(geoweir_received_total{s}[1m]))", "received"),
        ),
        unit="reqps",
        width=6,
        doc="outcomes.md",
        stacked=True,
    ),
)

STREAMS: Final = (
    Panel(
        "Received by stream",
        "Inputs a second.",
        (("sum by (stream) (rate(geoweir_received_total{s}[1m]))", "{{stream}}"),),
        unit="reqps",
    ),
    Panel(
        "Filtered",
        "By stream and reason.",
        (
            (
                (
                    "sum by (stream,reason) "
                    '(rate(geoweir_outcomes_total{s,outcome="filtered"}[5m])) > 0'
                ),
                "{{stream}}: {{reason}}",
            ),
        ),
        unit="reqps",
        doc="outcomes.md",
    ),
    Panel(
        "Rejected and reconciled",
        "By stream, outcome and reason.",
        (
            (
                (
                    "sum by (stream,outcome,reason) "
                    '(rate(geoweir_outcomes_total{s,outcome=~"rejected|reconciled"}[5m])) > 0'
                ),
                "{{stream}} {{outcome}}: {{reason}}",
            ),
        ),
        unit="reqps",
        doc="outcomes.md",
    ),
    Panel(
        "Silent for",
        "Time since the last input of each stream that had one.",
        (
            (
                "time() - (geoweir_last_received_timestamp_seconds{s} > 0)",
                "{{stream}}",
            ),
        ),
        unit="s",
        doc="alerts.md#geoweirstreamsilent",
    ),
    Panel(
        "Came again",
        "Redelivered: marked by the broker as sent before. Returned: voided by a lost connection.",
        (
            ("sum by (stream) (rate(geoweir_redelivered_total{s}[5m]))", "{{stream}} redelivered"),
            ("sum by (stream) (rate(geoweir_returned_total{s}[5m]))", "{{stream}} returned"),
        ),
        unit="reqps",
    ),
    Panel(
        "Kept drops",
        "Dropped inputs that are kept and can be sent again.",
        (("geoweir_kept_messages{}", "{{instance}}"),),
        doc="state.md",
    ),
)

LATENCY: Final = (
    Panel(
        "Latency",
        "From received to the output's acknowledgement: median and p99 by stream.",
        (
            (quantile("0.5", "geoweir_latency_seconds", ",stream"), "{{stream}} p50"),
            (quantile("0.99", "geoweir_latency_seconds", ",stream"), "{{stream}} p99"),
        ),
        unit="s",
        doc="performance.md",
    ),
    Panel(
        "Latency, distribution",
        "Inputs by latency.",
        (("sum by (le) (increase(geoweir_latency_seconds_bucket{s}[1m]))", "{{le}}"),),
        kind="heatmap",
        unit="s",
        doc="performance.md",
    ),
    Panel(
        "A worker has a chunk for",
        "p99 by stream.",
        ((quantile("0.99", "geoweir_chunk_seconds", ",stream"), "{{stream}}"),),
        unit="s",
        doc="performance.md",
    ),
    Panel(
        "Steps that cost most",
        "Seconds of work a second, the five highest.",
        (
            (
                "topk(5, sum by (stream,step) (rate(geoweir_step_seconds_sum{s}[5m])))",
                "{{stream}} {{step}}",
            ),
        ),
        unit="s",
        doc="performance.md",
    ),
    Panel(
        "Features in a chunk",
        "Mean by stream, with the limit that heat may lower.",
        (
            (
                (
                    "rate(geoweir_chunk_features_sum{s}[5m]) "
                    "/ rate(geoweir_chunk_features_count{s}[5m])"
                ),
                "{{stream}}",
            ),
            ("geoweir_chunk_limit{}", "limit"),
        ),
        doc="heat.md",
    ),
    Panel(
        "Loop lag",
        "How late the event loop came: p99.",
        (
            (
                (
                    "histogram_quantile(0.99, "
                    "sum by (le,instance) (rate(geoweir_loop_lag_seconds_bucket{}[5m])))"
                ),
                "{{instance}}",
            ),
        ),
        unit="s",
        doc="alerts.md#geoweirlooplag",
    ),
)

PRESSURE: Final = (
    Panel(
        "Queue",
        "Messages that wait for a worker, by the limit.",
        (("geoweir_queue_messages{} / geoweir_queue_limit{}", "{{instance}}"),),
        unit="percentunit",
        maximum=1,
    ),
    Panel(
        "Reading paused",
        "Share of the time in which a stream's connection was not read; what waits, waits at the "
        "broker.",
        (("rate(geoweir_reading_paused_seconds_total{s}[5m])", "{{stream}}"),),
        unit="percentunit",
        maximum=1,
        doc="alerts.md#geoweirpaused",
    ),
    Panel(
        "Reconnects",
        "Connections that came back, in 15 minutes.",
        (
            (
                "sum by (direction) (increase(geoweir_mqtt_reconnects_total{}[15m]))",
                "{{direction}}",
            ),
        ),
    ),
)

WORKERS: Final = (
    Panel(
        "Busy",
        "Share of the workers' time spent on chunks.",
        (("avg by (instance) (rate(geoweir_worker_busy_seconds_total{}[5m]))", "{{instance}}"),),
        unit="percentunit",
        maximum=1,
    ),
    Panel(
        "Memory by the limit",
        "Private memory of each worker; at 1 it is ended.",
        (
            (
                (
                    "geoweir_worker_memory_bytes{} / on (job,instance) group_left "
                    "geoweir_worker_memory_limit_bytes{}"
                ),
                "{{worker}}",
            ),
        ),
        unit="percentunit",
        maximum=1,
    ),
    Panel(
        "Restarts",
        "Workers replaced in 15 minutes; recycle is housekeeping, the others are faults.",
        (
            (
                "sum by (reason) (increase(geoweir_worker_restarts_total{}[15m])) > 0",
                "{{reason}}",
            ),
        ),
        doc="alerts.md#geoweirworkersdying",
    ),
)

GATEWAY: Final = (
    Panel(
        "Temperature",
        "The chosen sensor, and where work is slowed.",
        (
            ("geoweir_temperature_celsius{}", "{{instance}}"),
            ("geoweir_temperature_limit_celsius{}", "limit"),
        ),
        unit="celsius",
        doc="heat.md",
    ),
    Panel(
        "Duty and speed",
        "Share of the workers' time that may be used; own speed by the best seen.",
        (
            ("geoweir_duty_ratio{}", "duty"),
            ("geoweir_cpu_speed_ratio{}", "speed"),
        ),
        unit="percentunit",
        maximum=1,
        doc="heat.md",
    ),
    Panel(
        "Clock",
        "What the fastest cores were asked to run at.",
        (("geoweir_cpu_frequency_hertz{}", "{{instance}}"),),
        unit="hertz",
        doc="heat.md",
    ),
    Panel(
        "Memory of the service",
        "Resident memory without the workers.",
        (("process_resident_memory_bytes{}", "{{instance}}"),),
        unit="bytes",
    ),
    Panel(
        "Processor time of the service",
        "Cores, without the workers.",
        (("rate(process_cpu_seconds_total{}[1m])", "{{instance}}"),),
    ),
    Panel(
        "Layers",
        "The version of each layer in use.",
        (("geoweir_layer_info{}", ""),),
        kind="table",
        doc="spatial-live.md",
        options={"showHeader": True},
    ),
)

ROWS: Final = (
    ("Account: is it well?", ACCOUNT, 5, False),
    ("Streams", STREAMS, 8, False),
    ("Latency", LATENCY, 8, False),
    ("Back-pressure", PRESSURE, 7, False),
    ("Workers", WORKERS, 7, False),
    ("Gateway", GATEWAY, 7, True),
)


def dashboard() -> dict[str, Any]:
    """The whole board."""
    panels: list[dict[str, Any]] = []
    number, y = 1, 0
    for title, row, height, is_collapsed in ROWS:
        head: dict[str, Any] = {
            "id": number,
            "type": "row",
            "title": title,
            "collapsed": is_collapsed,
            "gridPos": {"x": 0, "y": y, "w": _WIDTH, "h": 1},
            "panels": [],
        }
        panels.append(head)
        number, y, x = number + 1, y + 1, 0
        into = head["panels"] if is_collapsed else panels
        for panel in row:
            if x + panel.width > _WIDTH:
                x, y = 0, y + height
            into.append(panel.json(number, x, y, height))
            number, x = number + 1, x + panel.width
        y += height
    return {
        "uid": "geoweir",
        "title": "geoweir",
        "tags": ["geoweir", "mqtt"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": list(_variables())},
        "annotations": {"list": list(_annotations())},
        "panels": panels,
    }


def _variables() -> list[dict[str, Any]]:
    def of(name: str, query: str) -> dict[str, Any]:
        return {
            "name": name,
            "type": "query",
            "datasource": _SOURCE,
            "query": {"query": query, "refId": name},
            "definition": query,
            "refresh": 2,
            "includeAll": True,
            "multi": True,
            "current": {"text": "All", "value": "$__all"},
            "sort": 1,
        }

    return [
        {"name": "source", "type": "datasource", "query": "prometheus", "label": "data source"},
        of("job", "label_values(geoweir_build_info, job)"),
        of("instance", 'label_values(geoweir_build_info{job=~"$job"}, instance)'),
        of("stream", f"label_values(geoweir_received_total{{{_WHERE}}}, stream)"),
    ]


def _annotations() -> list[dict[str, Any]]:
    def of(name: str, color: str, text: str) -> dict[str, Any]:
        return {
            "name": name,
            "datasource": _SOURCE,
            "enable": True,
            "iconColor": color,
            "expr": expression(text),
            "titleFormat": name,
        }

    return [
        of("restart", "red", "changes(process_start_time_seconds{}[2m]) > 0"),
        of("layer swapped", "blue", "geoweir_layer_info{} unless geoweir_layer_info{} offset 1m"),
    ]


if __name__ == "__main__":
    TARGET.write_text(json.dumps(dashboard(), indent=1) + "\n", encoding="utf-8")
