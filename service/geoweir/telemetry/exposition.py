"""One scrape: the metrics and a snapshot of what others own, in Prometheus's text format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import nan
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from geoweir.core.outcome import REASON_CODES
from geoweir.core.spec import REFERENCE_KINDS, ReferenceKind
from geoweir.telemetry.histogram import Histogram
from geoweir.telemetry.metrics import Metrics
from geoweir.telemetry.snapshot import GatewayReading, Snapshot

__all__ = ["CONTENT_TYPE", "render"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_Rows = Iterable[tuple[tuple[str, ...], float]]


def render(metrics: Metrics, snapshot: Snapshot) -> bytes:
    """Everything ``/metrics`` shows, in text format 0.0.4.

    The families are made of plain numbers at each scrape: no metric object of prometheus_client
    lives between scrapes, so there are no ``_created`` series and no locks on the hot path.
    """
    registry = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=registry)
    registry.register(_Scrape(metrics, snapshot))
    return generate_latest(registry)


class _Scrape(Collector):
    """The families of one scrape."""

    def __init__(self, metrics: Metrics, snapshot: Snapshot) -> None:
        self._metrics = metrics
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        """Yields each family once."""
        yield from _account(self._snapshot)
        yield from _weir(self._metrics, self._snapshot)
        yield from _streams(self._metrics)
        yield from _pool(self._metrics, self._snapshot)
        yield from _store(self._metrics, self._snapshot)
        yield from _service(self._metrics)
        yield from _gateway(self._snapshot.gateway)


def _account(snapshot: Snapshot) -> Iterator[Metric]:
    streams = snapshot.streams
    # ``received`` of the account shrinks when a lost connection voids inputs; a counter must not.
    yield _counter(
        "geoweir_received",
        "Inputs read, those included that a lost connection voided later (geoweir_returned_total).",
        ("stream",),
        (((name,), totals.received + totals.returned) for name, totals in streams.items()),
    )
    yield _counter(
        "geoweir_outcomes",
        "Inputs by the one outcome that each has, and its reason (empty for published).",
        ("stream", "outcome", "reason"),
        (
            ((name, str(outcome), reason), totals.outcomes[outcome, reason])
            for name, totals in streams.items()
            for outcome, reason in REASON_CODES
        ),
    )
    yield _counter(
        "geoweir_redelivered",
        "Inputs that the broker marked as sent before.",
        ("stream",),
        (((name,), totals.redelivered) for name, totals in streams.items()),
    )
    yield _counter(
        "geoweir_returned",
        "Inputs voided by a lost connection; they come again.",
        ("stream",),
        (((name,), totals.returned) for name, totals in streams.items()),
    )
    yield _gauge(
        "geoweir_in_flight",
        "Inputs without an outcome, as the stages say that they hold.",
        ("stream",),
        (((name,), snapshot.in_flight.get(name, 0)) for name in streams),
    )
    yield _gauge(
        "geoweir_oldest_in_flight_seconds",
        "Age of the oldest input without an outcome; 0 when there is none.",
        ("stream",),
        (((name,), snapshot.oldest_in_flight_s.get(name, 0.0)) for name in streams),
    )
    yield _value(
        "geoweir_unaccounted",
        "Inputs that are neither settled nor held by any stage; anything but 0 is a bug.",
        snapshot.unaccounted,
    )


def _weir(metrics: Metrics, snapshot: Snapshot) -> Iterator[Metric]:
    now = metrics.clock()
    pauses = {name: meters.pause for name, meters in metrics.streams.items()}
    yield _value("geoweir_queue_messages", "Messages that wait.", snapshot.queue_messages)
    yield _value("geoweir_queue_limit", "Messages that may wait.", snapshot.queue_limit)
    yield _value(
        "geoweir_receive_window",
        "Inputs without an outcome that each stream may have.",
        snapshot.receive_window,
    )
    yield _value("geoweir_chunk_limit", "Features that a chunk may have.", snapshot.chunk_limit)
    yield _gauge(
        "geoweir_reading_paused",
        "1 while the stream's bound is reached and its connection is not read.",
        ("stream",),
        (((name,), pause.is_on) for name, pause in pauses.items()),
    )
    yield _counter(
        "geoweir_reading_paused_seconds",
        "Time that the stream's connection was not read.",
        ("stream",),
        (((name,), pause.seconds(now)) for name, pause in pauses.items()),
    )


def _streams(metrics: Metrics) -> Iterator[Metric]:
    streams = metrics.streams
    yield _gauge(
        "geoweir_last_received_timestamp_seconds",
        "Wall clock of the last input; 0 before the first.",
        ("stream",),
        (((name,), meters.last_received) for name, meters in streams.items()),
    )
    yield _counter(
        "geoweir_sequence_gaps",
        "Gaps in the sequence numbers of devices; 0 for streams without fields.sequence.",
        ("stream",),
        (((name,), meters.gaps) for name, meters in streams.items()),
    )
    yield _counter(
        "geoweir_sequence_missing",
        "Inputs that never came, by the sequence numbers in those gaps.",
        ("stream",),
        (((name,), meters.missing) for name, meters in streams.items()),
    )
    yield _histogram(
        "geoweir_chunk_seconds",
        "Time a worker had a chunk.",
        ("stream",),
        {(name,): meters.chunk_s for name, meters in streams.items()},
    )
    yield _histogram(
        "geoweir_chunk_features",
        "Features in a chunk.",
        ("stream",),
        {(name,): meters.chunk_features for name, meters in streams.items()},
    )
    yield _histogram(
        "geoweir_step_seconds",
        "Time of one step on one chunk.",
        ("stream", "step"),
        {
            (name, step): histogram
            for name, meters in streams.items()
            for step, histogram in meters.steps.items()
        },
    )
    yield _histogram(
        "geoweir_latency_seconds",
        "From received to the output's acknowledgement, per input.",
        ("stream",),
        {(name,): meters.latency_s for name, meters in streams.items()},
    )


def _pool(metrics: Metrics, snapshot: Snapshot) -> Iterator[Metric]:
    slots = [(str(number), slot) for number, slot in enumerate(snapshot.slots)]
    yield _gauge(
        "geoweir_workers",
        "Worker slots by state.",
        ("state",),
        (((state,), count) for state, count in snapshot.workers().items()),
    )
    yield _counter(
        "geoweir_worker_busy_seconds",
        "Time that the slot spent on chunks.",
        ("worker",),
        (((number,), slot.busy_s) for number, slot in slots),
    )
    yield _gauge(
        "geoweir_worker_memory_bytes",
        "Private memory of the slot's worker.",
        ("worker",),
        (((number,), slot.private_bytes) for number, slot in slots),
    )
    yield _value(
        "geoweir_worker_memory_limit_bytes",
        "Private memory at which a worker is ended.",
        snapshot.worker_memory_limit,
    )
    yield _counter(
        "geoweir_worker_restarts",
        "Workers replaced; recycle is housekeeping, the other reasons are faults.",
        ("reason",),
        (((reason,), count) for reason, count in metrics.restarts.items()),
    )


def _store(metrics: Metrics, snapshot: Snapshot) -> Iterator[Metric]:
    yield _value(
        "geoweir_store_up", "1 while the state store keeps what it is given.", metrics.store_is_up
    )
    yield _counter(
        "geoweir_store_damaged",
        "State files that were not fit and put aside.",
        (),
        [((), metrics.store_damages)],
    )
    yield _value("geoweir_kept_messages", "Dropped inputs that are kept.", snapshot.kept_messages)
    yield _value("geoweir_kept_bytes", "Size of the kept inputs.", snapshot.kept_bytes)
    yield _counter(
        "geoweir_kept_removed",
        "Kept inputs that left because a bound was reached, by the bound.",
        ("bound",),
        (((bound,), count) for bound, count in metrics.removed.items()),
    )
    yield _counter(
        "geoweir_not_kept",
        "Dropped inputs that could not be kept, by what stood in the way.",
        ("reason",),
        (((reason,), count) for reason, count in metrics.not_kept.items()),
    )
    yield _counter(
        "geoweir_retried",
        "Kept inputs that were sent through again, by their outcome then.",
        ("stream", "outcome"),
        (
            ((stream, str(outcome)), count)
            for stream, outcomes in metrics.retried.items()
            for outcome, count in outcomes.items()
        ),
    )
    yield _value("geoweir_retrying", "Of them, those without an outcome.", snapshot.retrying)
    yield _value(
        "geoweir_spill_messages", "Inputs in the spill without an outcome.", snapshot.spill_messages
    )
    yield _value("geoweir_spill_bytes", "Bytes of the spill's files.", snapshot.spill_bytes)
    yield _value(
        "geoweir_spill_limit_bytes", "Bytes that they may have; 0 without.", snapshot.spill_limit
    )
    yield _value(
        "geoweir_spill_up", "1 while the spill takes what it is given.", metrics.spill_is_up
    )
    yield _counter(
        "geoweir_spill_damaged",
        "Files of the spill that were damaged.",
        (),
        [((), metrics.spill_damages)],
    )


def _service(metrics: Metrics) -> Iterator[Metric]:
    yield _histogram(
        "geoweir_loop_lag_seconds", "How late the event loop came.", (), {(): metrics.lag_s}
    )
    yield _gauge(
        "geoweir_mqtt_connected",
        "1 when every connection of the direction is up.",
        ("direction",),
        ((("in",), metrics.is_connected("in")), (("out",), metrics.is_connected("out"))),
    )
    yield _counter(
        "geoweir_mqtt_reconnects",
        "Connections to the broker that came back after a loss.",
        ("direction",),
        (((direction,), count) for direction, count in metrics.reconnects.items()),
    )
    yield _counter(
        "geoweir_publish_failures",
        "Messages that the broker refused.",
        ("kind",),
        (((kind,), count) for kind, count in metrics.publish_failures.items()),
    )
    for kind in REFERENCE_KINDS:
        yield from _references(metrics, kind)
    yield _counter(
        "geoweir_fences_refused",
        "Features of a live layer that were refused; those before them stay.",
        ("layer",),
        (((layer,), count) for layer, count in metrics.fences_refused.items()),
    )
    yield _value(
        "geoweir_config_last_reload_successful",
        "0 while a changed configuration is refused and the one before goes on.",
        metrics.is_reload_good,
    )
    yield _value(
        "geoweir_workers_sandboxed",
        "1 while workers can open, start and connect to nothing.",
        metrics.is_sandboxed,
    )
    yield _gauge(
        "geoweir_build_info", "geoweir's version.", ("version",), [((metrics.version,), 1)]
    )


def _references(metrics: Metrics, kind: ReferenceKind) -> Iterator[Metric]:
    versions = metrics.versions.items()
    yield _gauge(
        f"geoweir_{kind}_info",
        f"The version of each {kind} in use.",
        (kind, "version"),
        (((one.name, version), 1) for one, version in versions if one.kind == kind),
    )
    errors = metrics.load_errors.items()
    yield _counter(
        f"geoweir_{kind}_load_errors",
        f"{kind.capitalize()}s that could not be loaded.",
        (kind,),
        (((one.name,), count) for one, count in errors if one.kind == kind),
    )


def _gateway(gateway: GatewayReading) -> Iterator[Metric]:
    yield _known(
        "geoweir_temperature_celsius",
        "The chosen sensor; NaN without one that can be believed.",
        gateway.celsius,
    )
    yield _known(
        "geoweir_temperature_limit_celsius", "Where work is slowed; NaN for never.", gateway.limit
    )
    yield _value("geoweir_duty_ratio", "Share of the workers' time that may be used.", gateway.duty)
    yield _known(
        "geoweir_cpu_frequency_hertz",
        "What the fastest cores were asked to run at; firmware may have them run slower.",
        gateway.frequency_hz,
    )
    yield _known(
        "geoweir_cpu_speed_ratio", "Own speed at a fixed piece of work, by the best.", gateway.speed
    )
    yield _known(
        "geoweir_undervoltage",
        "1 while the supply is too weak; NaN where nobody watches it.",
        gateway.is_undervolted,
    )
    yield _gauge(
        "geoweir_pressure_ratio",
        "Share of the last ten seconds in which something waited for the resource (PSI, some).",
        ("resource",),
        (((resource,), share) for resource, share in gateway.pressure.items()),
    )


def _known(name: str, text: str, value: float | None) -> Metric:
    """A gauge that is always there; NaN while nobody knows."""
    return _value(name, text, nan if value is None else value)


def _counter(name: str, text: str, labels: tuple[str, ...], rows: _Rows) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for values, value in rows:
        family.add_metric(values, value)
    return family


def _gauge(name: str, text: str, labels: tuple[str, ...], rows: _Rows) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, value in rows:
        family.add_metric(values, value)
    return family


def _value(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _histogram(
    name: str, text: str, labels: tuple[str, ...], rows: Mapping[tuple[str, ...], Histogram]
) -> Metric:
    family = HistogramMetricFamily(name, text, labels=labels)
    for values, histogram in rows.items():
        buckets = [
            ("+Inf" if bound == float("inf") else str(float(bound)), count)
            for bound, count in histogram.cumulative()
        ]
        family.add_metric(values, buckets, histogram.sum)
    return family
