import logging

import pytest

from geoweir.core.spec import Reference
from geoweir.telemetry import events
from geoweir.telemetry.log import LOGGER
from geoweir.telemetry.metrics import Metrics

LAYER = Reference("layer", "l")
RASTER = Reference("raster", "r")

CASES: list[tuple[events.Event, str]] = [
    (events.InputsRejected(stream="s", reason="json", n=2, detail="d"), "inputs-rejected"),
    (
        events.InputsReconciled(stream="s", reason="crash", ids=["a"], n=1, chunk="7"),
        "inputs-reconciled",
    ),
    (events.SequenceGaps("s", 1, 2, ["a: 1-2"]), "sequence-gaps"),
    (events.WorkerRestarted(worker=0, reason="crash"), "worker-restarted"),
    (events.Connected(direction="out", address="h:1"), "connected"),
    (events.Disconnected(direction="in", stream="s", address="h:1", why="w"), "disconnected"),
    (events.LaneOpened(stream="s", lane="s", epoch=1, resumed=True), "lane-opened"),
    (events.LaneClosed(stream="s", lane="s", epoch=1, why="w"), "lane-closed"),
    (events.OutputRefused(kind="result", topic="t", code=135, text="no"), "output-refused"),
    (events.ReferenceLoaded(reference=LAYER, version="1", size={"features": 3}), "layer-loaded"),
    (events.ReferenceFailed(reference=LAYER, why="w"), "layer-failed"),
    (events.ReferenceCompiling(reference=LAYER, source="s"), "layer-compiling"),
    (
        events.ReferenceLoaded(reference=RASTER, version="2", size={"width": 3, "height": 4}),
        "raster-loaded",
    ),
    (events.ReferenceFailed(reference=RASTER, why="w"), "raster-failed"),
    (events.FenceRefused(layer="l", topic="t", why="w"), "fence-refused"),
    (events.WorkersSandboxed(how="seccomp"), "sandbox"),
    (events.ServiceReady(version="1", url="u"), "ready"),
    (events.ServiceDraining(why="SIGTERM", in_flight=1, grace_s=10.0), "draining"),
    (events.ServiceStopped(unaccounted=0, in_flight=0), "stopped"),
    (events.StoreFailed(why="full", detail="d"), "store-failed"),
    (events.StoreDamaged(why="w", aside="/f"), "store-damaged"),
    (events.InputsNotKept(why="busy", n=3), "inputs-not-kept"),
    (events.KeptRemoved(why="age", n=4), "kept-removed"),
    (events.StoreWorks(), "store-works"),
]


def new_metrics() -> Metrics:
    return Metrics(
        streams={"s": []}, references=[LAYER, RASTER], live={"l": "layer:l"}, version="1"
    )


@pytest.mark.parametrize(("event", "name"), CASES, ids=[name for _, name in CASES])
def test_each_event_logs_one_line_under_its_name(
    event: events.Event, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, LOGGER.name)

    event.emit(LOGGER, new_metrics())

    assert [record.getMessage() for record in caplog.records] == [name]


def test_every_event_is_tried_above() -> None:
    tried = {type(event).__name__ for event, _ in CASES}
    assert tried == set(events.__all__) - {"Event"}


def test_events_count_in_the_same_call() -> None:
    metrics = new_metrics()

    for event, _ in CASES:
        event.emit(LOGGER, metrics)
    events.Connected(direction="in", stream="s", address="h:1", again=True).emit(LOGGER, metrics)

    assert metrics.restarts["crash"] == 1
    assert metrics.publish_failures["result"] == 1
    assert metrics.load_errors[LAYER] == 1
    assert metrics.fences_refused["l"] == 1
    assert metrics.versions == {LAYER: "1", RASTER: "2"}
    assert metrics.reconnects == {"in": 1, "out": 0}
    assert (metrics.not_kept["busy"], metrics.removed["age"]) == (3, 4)
    assert (metrics.store_damages, metrics.store_is_up) == (1, True)
    events.StoreFailed(why="io", detail="d").emit(LOGGER, metrics)
    assert not metrics.store_is_up
    assert metrics.is_connected("out")
    assert [drop.reason for drop in metrics.recent] == ["json", "crash"]


def test_recent_drops_are_bounded() -> None:
    metrics = new_metrics()

    for _ in range(1000):
        events.InputsRejected(stream="s", reason="json", n=1, detail="").emit(LOGGER, metrics)

    assert len(metrics.recent) == 20
