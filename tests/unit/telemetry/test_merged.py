import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from geoweir.core.account import StreamTotals
from geoweir.core.outcome import Outcome
from geoweir.core.spec import Reference
from geoweir.telemetry import merged
from geoweir.telemetry.exposition import render
from geoweir.telemetry.metrics import Metrics
from geoweir.telemetry.snapshot import GatewayReading, SlotReading, Snapshot

ZONES = Reference("layer", "zones")

WARM = GatewayReading(celsius=61.0, limit=75.0, frequency_hz=1e9, speed=0.9, is_undervolted=False)


def page(
    received: int = 0,
    held: int = 0,
    *,
    connected: bool = True,
    unaccounted: int = 0,
    gateway: GatewayReading | None = None,
) -> bytes:
    """A page as a process renders it: so many published, so many in flight."""
    metrics = Metrics(streams={"s": ["join"]}, references=[ZONES], version="1")
    metrics.reference_loaded(ZONES, "v")
    for direction in ("in", "out"):
        metrics.connected(direction, up=connected, stream="s" if direction == "in" else "")
    metrics.latency("s", 0.02, received)
    metrics.reading_paused("s", paused=held > 0, now=time.monotonic())
    totals = StreamTotals(received=received + held + unaccounted)
    totals.outcomes[Outcome.PUBLISHED, ""] = received
    snapshot = Snapshot(
        streams={"s": totals},
        in_flight={"s": held},
        unaccounted=unaccounted,
        oldest_in_flight_s={"s": float(held)},
        queue_messages=held,
        queue_limit=500,
        receive_window=100,
        chunk_limit=128,
        slots=[SlotReading(state="idle", busy_s=2.0, private_bytes=7)],
        worker_memory_limit=9,
        gateway=gateway or WARM,
    )
    return render(metrics, snapshot)


@pytest.mark.parametrize("order", [1, -1])
def test_a_process_without_a_reading_has_no_say_in_the_temperature(order: int) -> None:
    pages = [page(), page(gateway=GatewayReading())][::order]
    both = merged.merge((), {str(n): merged.read(text) for n, text in enumerate(pages)}, 2)
    assert value(both, "geoweir_temperature_celsius") == 61.0


def value(found: merged.Page, name: str, **labels: str) -> float:
    """One sample of a page, as Prometheus reads it."""
    values = [
        sample.value
        for family in text_string_to_metric_families(merged.write(found).decode())
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    ]
    assert len(values) == 1, (name, labels, values)
    return values[0]


def two(*, processes: int = 2, past: tuple[merged.Page, ...] = ()) -> merged.Page:
    living = {"0": merged.read(page(5, 2)), "1": merged.read(page(7, 3))}
    return merged.merge(past, living, processes)


def test_a_page_that_is_read_and_written_says_the_same_to_prometheus() -> None:
    text = page(5, 2)
    again = merged.write(merged.read(text))
    assert list(text_string_to_metric_families(again.decode())) == list(
        text_string_to_metric_families(text.decode())
    )


def test_counters_histograms_and_amounts_are_summed() -> None:
    found = two()
    assert value(found, "geoweir_received_total", stream="s") == 17
    published = {"stream": "s", "outcome": "published", "reason": ""}
    assert value(found, "geoweir_outcomes_total", **published) == 12
    assert value(found, "geoweir_in_flight", stream="s") == 5
    assert value(found, "geoweir_queue_messages") == 5
    assert value(found, "geoweir_queue_limit") == 1000
    assert value(found, "geoweir_workers", state="idle") == 2
    assert value(found, "geoweir_latency_seconds_count", stream="s") == 12
    assert value(found, "geoweir_latency_seconds_bucket", stream="s", le="0.025") == 12
    assert value(found, "geoweir_latency_seconds_bucket", stream="s", le="0.01") == 0
    assert value(found, "geoweir_latency_seconds_sum", stream="s") == pytest.approx(0.24)


def test_bounds_ages_and_versions_are_the_largest() -> None:
    found = two()
    assert value(found, "geoweir_receive_window") == 100
    assert value(found, "geoweir_chunk_limit") == 128
    assert value(found, "geoweir_worker_memory_limit_bytes") == 9
    assert value(found, "geoweir_oldest_in_flight_seconds", stream="s") == 3
    assert value(found, "geoweir_reading_paused", stream="s") == 1
    assert value(found, "geoweir_layer_info", layer="zones", version="v") == 1
    assert value(found, "geoweir_build_info", version="1") == 1


def test_connected_is_1_only_when_every_process_is_there_and_connected() -> None:
    assert value(two(), "geoweir_mqtt_connected", direction="in") == 1
    assert value(two(processes=3), "geoweir_mqtt_connected", direction="in") == 0
    cut = {"0": merged.read(page()), "1": merged.read(page(connected=False))}
    assert value(merged.merge([], cut, 2), "geoweir_mqtt_connected", direction="out") == 0


def test_what_is_about_one_process_or_worker_has_a_row_for_each() -> None:
    found = two()
    for process in ("0", "1"):
        worker = {"process": process, "worker": "0"}
        assert value(found, "geoweir_worker_memory_bytes", **worker) == 7
        assert value(found, "geoweir_worker_busy_seconds_total", **worker) == 2
        assert value(found, "process_resident_memory_bytes", process=process) > 0


def test_a_gauge_that_nobody_has_heard_of_keeps_a_row_for_each_process() -> None:
    text = b'# HELP geoweir_new A.\n# TYPE geoweir_new gauge\ngeoweir_new{a="x y"} 1.5\n'
    found = merged.merge([], {"0": merged.read(text), "1": merged.read(text)}, 2)
    assert value(found, "geoweir_new", process="0", a="x y") == 1.5
    assert value(found, "geoweir_new", process="1", a="x y") == 1.5


def test_every_name_in_the_tables_is_on_the_page() -> None:
    tables = merged._SUMMED | merged._LARGEST | merged._SMALLEST
    assert tables <= merged.read(page()).keys()


def test_no_counter_falls_when_a_process_dies_and_another_takes_its_place() -> None:
    before = two()
    past = merged.remains(merged.read(page(5, 2)))
    after = merged.merge([past], {"0": merged.read(page()), "1": merged.read(page(7, 3))}, 2)
    for name, family in before.items():
        if family.kind in {"counter", "histogram"} and name.startswith("geoweir_"):
            for key, old in family.series.items():
                if "worker=" not in key and "paused_seconds" not in key:
                    assert after[name].series[key] >= old, key


def test_what_a_dead_process_held_is_returned_as_in_the_account() -> None:
    past = merged.remains(merged.read(page(5, 2)))
    found = merged.merge([past], {"1": merged.read(page(7, 3))}, 2)
    assert value(found, "geoweir_returned_total", stream="s") == 2
    assert value(found, "geoweir_in_flight", stream="s") == 3
    assert value(found, "geoweir_received_total", stream="s") == 17


def test_several_deaths_add_up_and_what_was_unaccounted_stays() -> None:
    past: merged.Page = {}
    for _ in range(3):
        left = merged.remains(merged.read(page(5, 2, unaccounted=1)))
        past = merged.merge([past, left], {}, 0)
    found = merged.merge([past], {"0": merged.read(page(1))}, 1)
    assert value(found, "geoweir_returned_total", stream="s") == 6
    assert value(found, "geoweir_received_total", stream="s") == 25
    assert value(found, "geoweir_unaccounted") == 3


def test_a_page_without_anybody_alive_still_has_what_was() -> None:
    past = merged.remains(merged.read(page(5, 2)))
    found = merged.merge([past], {}, 2)
    assert value(found, "geoweir_received_total", stream="s") == 7
    assert "geoweir_in_flight" not in found


@pytest.mark.parametrize("text", [b"geoweir_x 1 2 3 x\n", b"\xff\n"])
def test_what_is_no_page_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        merged.read(text)
