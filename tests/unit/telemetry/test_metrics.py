import re
from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from geoweir.core.account import Account, Event
from geoweir.core.lane import DURABLE
from geoweir.core.outcome import REASON_CODES, Outcome
from geoweir.core.spec import Reference
from geoweir.telemetry.exposition import render
from geoweir.telemetry.metrics import Metrics, step_labels
from geoweir.telemetry.snapshot import WORKER_STATES, SlotReading, Snapshot, reasons_of

ZONES = Reference("layer", "zones")

STREAMS = {"buses": ["reproject", "join", "join"], "ships": []}


def new_metrics(clock: Callable[[], float] = lambda: 0.0) -> Metrics:
    return Metrics(streams=STREAMS, references=[ZONES], version="9.9", clock=clock)


def snapshot_of(account: Account, held: dict[str, int] | None = None) -> Snapshot:
    held = held or {}
    return Snapshot(
        streams=account.totals,
        in_flight=held,
        unaccounted=account.unaccounted(held),
        queue_messages=3,
        queue_limit=500,
        slots=[SlotReading(state="busy", busy_s=1.5, private_bytes=42)],
        worker_memory_limit=150,
    )


def samples(metrics: Metrics, snapshot: Snapshot | None = None) -> dict[str, float]:
    text = render(metrics, snapshot or snapshot_of(Account(STREAMS))).decode()
    return {
        sample.name + str(sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def key(name: str, **labels: str) -> str:
    return name + str(sorted((label, str(value)) for label, value in labels.items()))


def test_every_outcome_and_reason_of_every_stream_is_zero_from_the_start() -> None:
    shown = samples(new_metrics())

    for stream in STREAMS:
        for outcome, reason in REASON_CODES:
            name = key("geoweir_outcomes_total", stream=stream, outcome=outcome, reason=reason)
            assert shown[name] == 0


def test_every_metric_of_this_version_is_shown() -> None:
    metrics = new_metrics()
    metrics.reference_loaded(ZONES, "v1")

    names = {name.partition("[")[0] for name in samples(metrics)}

    assert names >= {
        "geoweir_received_total", "geoweir_outcomes_total", "geoweir_oldest_in_flight_seconds",
        "geoweir_last_received_timestamp_seconds", "geoweir_receive_window",
        "geoweir_reading_paused", "geoweir_reading_paused_seconds_total", "geoweir_workers",
        "geoweir_worker_busy_seconds_total", "geoweir_worker_memory_bytes",
        "geoweir_worker_memory_limit_bytes", "geoweir_worker_restarts_total",
        "geoweir_mqtt_connected", "geoweir_mqtt_reconnects_total", "geoweir_layer_info",
        "geoweir_layer_load_errors_total", "geoweir_in_flight", "geoweir_unaccounted",
        "geoweir_redelivered_total", "geoweir_returned_total", "geoweir_queue_messages",
        "geoweir_queue_limit", "geoweir_chunk_limit", "geoweir_chunk_seconds_bucket",
        "geoweir_chunk_features_bucket", "geoweir_step_seconds_bucket",
        "geoweir_latency_seconds_bucket", "geoweir_loop_lag_seconds_bucket",
        "geoweir_build_info", "process_resident_memory_bytes",
    }  # fmt: skip


def test_no_created_series_are_shown() -> None:
    assert b"_created" not in render(new_metrics(), snapshot_of(Account(STREAMS)))


def test_the_account_and_the_metrics_come_from_one_snapshot() -> None:
    account = Account(STREAMS)
    ledger = account.open_lane("buses", "buses", 1, resumed=False)
    account.receive(ledger, 0, bytes([DURABLE] * 5), 0.0)
    account.settle(ledger, [0, 1], Outcome.FILTERED, "bbox")

    shown = samples(new_metrics(), snapshot_of(account, {"buses": 2}))

    assert shown[key("geoweir_received_total", stream="buses")] == 5
    filtered = key("geoweir_outcomes_total", stream="buses", outcome="filtered", reason="bbox")
    assert shown[filtered] == 2
    assert shown[key("geoweir_in_flight", stream="buses")] == 2
    assert shown[key("geoweir_unaccounted")] == 1


def test_received_total_never_falls_when_inputs_are_returned() -> None:
    account = Account(STREAMS)
    ledger = account.open_lane("buses", "buses", 1, resumed=False)
    account.receive(ledger, 0, bytes([DURABLE] * 5), 0.0)
    account.advance(ledger, range(5), Event.QUEUE)
    account.close_lane(ledger)
    account.open_lane("buses", "buses", 2, resumed=True)

    shown = samples(new_metrics(), snapshot_of(account))

    assert account.totals["buses"].received == 0
    assert shown[key("geoweir_received_total", stream="buses")] == 5
    assert shown[key("geoweir_returned_total", stream="buses")] == 5


def test_latency_counts_every_message_of_a_chunk() -> None:
    metrics = new_metrics()

    metrics.latency("buses", 0.02, 128)

    shown = samples(metrics)
    assert shown[key("geoweir_latency_seconds_count", stream="buses")] == 128
    assert shown[key("geoweir_latency_seconds_bucket", stream="buses", le="0.01")] == 0
    assert shown[key("geoweir_latency_seconds_bucket", stream="buses", le="0.025")] == 128
    assert shown[key("geoweir_latency_seconds_sum", stream="buses")] == pytest.approx(2.56)


def test_two_steps_of_one_name_have_two_series() -> None:
    metrics = new_metrics()

    metrics.chunk_done("buses", features=3, seconds=0.1, step_seconds=[0.1, 0.2, 0.4])

    shown = samples(metrics)
    assert shown[key("geoweir_step_seconds_sum", stream="buses", step="join")] == 0.2
    assert shown[key("geoweir_step_seconds_sum", stream="buses", step="join-2")] == 0.4
    assert step_labels(["a", "b", "a", "a"]) == ["a", "b", "a-2", "a-3"]


def test_a_worker_that_names_too_many_steps_makes_no_series() -> None:
    metrics = new_metrics()
    before = set(samples(metrics))

    metrics.chunk_done("ships", features=3, seconds=0.1, step_seconds=[0.1] * 1000)

    assert set(samples(metrics)) == before


@pytest.mark.parametrize(
    "report",
    [
        lambda m: m.worker_restarted("because"),
        lambda m: m.publish_refused("thing"),
        lambda m: m.reference_loaded(Reference("layer", "unknown"), "1"),
        lambda m: m.reference_failed(Reference("layer", "unknown")),
        lambda m: m.connected("in", up=True, stream="unknown"),
        lambda m: m.received("unknown", 1.0),
    ],
)
def test_t17_a_label_that_no_list_knows_is_refused(report: Callable[[Metrics], None]) -> None:
    metrics = new_metrics()
    before = set(samples(metrics))

    with pytest.raises(KeyError):
        report(metrics)

    assert set(samples(metrics)) == before


def test_a_running_pause_counts_up_to_the_scrape() -> None:
    now = 10.0
    metrics = new_metrics(lambda: now)
    metrics.reading_paused("buses", paused=True, now=1.0)
    metrics.reading_paused("buses", paused=True, now=2.0)
    metrics.reading_paused("buses", paused=False, now=4.0)
    metrics.reading_paused("buses", paused=True, now=8.0)

    shown = samples(metrics)

    assert shown[key("geoweir_reading_paused_seconds_total", stream="buses")] == 3.0 + 2.0
    assert shown[key("geoweir_reading_paused", stream="buses")] == 1
    assert shown[key("geoweir_reading_paused", stream="ships")] == 0


def test_in_is_connected_only_when_every_stream_is() -> None:
    metrics = new_metrics()

    metrics.connected("in", up=True, stream="buses")
    metrics.connected("out", up=True)

    assert not metrics.is_connected("in")
    assert metrics.is_connected("out")
    metrics.connected("in", up=True, stream="ships")
    assert samples(metrics)[key("geoweir_mqtt_connected", direction="in")] == 1


def test_a_layer_shows_only_its_version_in_use() -> None:
    metrics = new_metrics()

    metrics.reference_loaded(ZONES, "v1")
    metrics.reference_loaded(ZONES, "v2")

    shown = samples(metrics)
    assert key("geoweir_layer_info", layer="zones", version="v1") not in shown
    assert shown[key("geoweir_layer_info", layer="zones", version="v2")] == 1


def test_an_unknown_worker_state_is_counted_as_other() -> None:
    slots = [SlotReading(state=state, busy_s=0, private_bytes=0) for state in ("idle", "odd")]
    snapshot = Snapshot(streams={}, in_flight={}, unaccounted=0, slots=slots)

    assert snapshot.workers() == dict.fromkeys(WORKER_STATES, 0) | {"idle": 1, "other": 1}


def test_reasons_name_only_what_happened() -> None:
    account = Account(["buses"])
    ledger = account.open_lane("buses", "buses", 1, resumed=False)
    account.receive(ledger, 0, bytes(2), 0.0)
    account.settle(ledger, [0], Outcome.FILTERED, "age")

    assert reasons_of(account.totals["buses"]) == {"filtered": {"age": 1}}


def test_the_text_is_what_a_prometheus_server_accepts() -> None:
    text = render(new_metrics(), snapshot_of(Account(STREAMS))).decode()

    for line in text.splitlines():
        assert re.fullmatch(r"# (HELP|TYPE) .+|[a-z_]+(\{.*\})? [0-9.e+naN-]+(Inf)?", line), line
