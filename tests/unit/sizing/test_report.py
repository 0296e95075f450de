"""The report: lines that can be pasted, and what a reader must see."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from geoweir.settings.units import size_text
from geoweir.sizing.derived import Setting
from geoweir.sizing.report import Report, yaml_block
from geoweir.sizing.results import Calm
from geoweir.sizing.rules import Suggestion
from support.configurations import Folder
from support.sizing import findings, outcomes, trial

LINES = (
    Suggestion("pool", "workers", 2, "1 worker carries 10.2 k/s, 2 workers carry 18.1 k/s"),
    Suggestion("queue", "limit", 1024, "a queue of 1024 carries more " + "and more " * 30),
    Suggestion("pool", "memory", size_text(190_000_000), "workers reached 95MB: of 150MB # odd"),
    Suggestion("mqtt", "receive_window", 20_000, "half of what is carried"),
)


def report(**more: object) -> Report:
    whole: dict[str, object] = {
        "about": ("geoweir", "broker: mosquitto"),
        "left_out": {},
        "findings": findings(trial(1000.0)),
        "suggestions": (),
    }
    return Report(**{**whole, **more})  # type: ignore[arg-type]


def test_the_block_is_a_configuration_when_streams_are_added(tmp_path: Path) -> None:
    block = yaml_block(LINES)
    loaded = Folder(tmp_path).load(block + "streams: {a: {subscribe: a/+}}\n")
    assert [fault.line_form() for fault in loaded.faults] == []
    settings = loaded.settings
    assert settings is not None
    assert (settings.pool.workers, settings.pool.memory) == (2, 190_000_000)
    assert (settings.queue_limit, settings.mqtt.receive_window) == (1024, 20_000)


def test_every_line_of_the_block_has_its_reason_above_it_and_none_is_long() -> None:
    lines = yaml_block(LINES).splitlines()
    assert max(map(len, lines)) <= 100
    keys = [
        number for number, line in enumerate(lines) if line.startswith("  ") and "#" not in line
    ]
    assert [lines[number].strip() for number in keys] == [
        "workers: 2",
        "memory: 190MB",
        "limit: 1024",
        "receive_window: 20000",
    ]
    assert all(lines[number - 1].startswith("  # ") for number in keys)


def test_without_a_suggestion_there_is_a_comment_only() -> None:
    assert yaml_block(()).startswith("# nothing to change")
    assert report().text().splitlines()[-1].startswith("# nothing to change")


def test_the_table_marks_the_best_setting() -> None:
    one, two = trial(1000.0, workers=1), trial(2000.0)
    text = report(findings=findings(two, one)).text()
    rows = [line for line in text.splitlines() if "/s " in line and "us" in line]
    assert [row.split()[0] for row in rows] == ["1", "*"]
    assert "50 + 2 x 20 MB" in rows[1]
    assert "the account balanced in every run" in text


def test_a_fault_is_shown_with_its_setting_and_decides() -> None:
    wrong = replace(trial(1.0), faults=("3 inputs are unaccounted for",))
    found = findings(wrong, calm=Calm(latencies=(), faults=("1 inputs never arrived",)))
    text = report(findings=found).text()
    assert "FAULT: 2 workers, chunk 128, queue 500: 3 inputs are unaccounted for" in text
    assert "FAULT: at part load: 1 inputs never arrived" in text
    assert "balanced" not in text


def test_inputs_that_were_not_published_are_named() -> None:
    streams = {"a": outcomes(published=60, filtered=40), "b": outcomes(published=99, filtered=1)}
    text = report(findings=findings(replace(trial(1.0), streams=streams))).text()
    assert "note: stream a: 40% of the inputs were filtered (where)" in text
    assert "stream b" not in text


def test_what_was_not_measured_is_named() -> None:
    found = findings(trial(1.0), skipped=(Setting(1, 32, 500),))
    text = report(findings=found, left_out={"s": "no reason."}).text()
    assert "left out: s: no reason." in text
    assert "no time for 1 worker, chunk 32, queue 500: a longer --duration" in text


def test_json_holds_the_same() -> None:
    told = json.loads(report(suggestions=LINES).json())
    assert told["best"] == {"workers": 2, "chunk": 128, "queue": 500, "rate": 1000.0}
    assert [one["key"] for one in told["suggestions"]] == [one.key for one in LINES]
    assert told["yaml"] == yaml_block(LINES)
    assert told["latency"][0]["p50_ms"] == 1.5
    assert told["faults"] == []
