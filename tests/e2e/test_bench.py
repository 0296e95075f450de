"""``geoweir bench`` as a user has it: it measures, suggests, and leaves nothing behind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from geoweir.cli.command import main
from geoweir.settings.load import load
from geoweir.sizing.report import Report
from support.brokers import broker_kind
from support.configurations import SQUARE
from support.eventually import eventually
from support.service import clean_environment, command, descendants
from support.sizing import findings, trial

ENVIRONMENT = {"SECRET": "hush"}
TWO_STREAMS = """\
mqtt: {url: "mqtts://broker.invalid:8883", username: someone, password: "${SECRET}"}
layers:
  zones: {path: zones.geojson}
streams:
  cars:
    subscribe: fleet/+/position
    format: json
    fields: {id: "{topic[1]}", time: at, x: pos.lon, y: pos.lat}
    steps:
      - join: {layer: zones}
      - where: {field: speed, above: 5}
  phones:
    subscribe: owntracks/+/+
    format: owntracks
    prefilter: {bbox: [5, 50, 6, 51]}
    publish: {topic: "chunks/{stream}", batch: chunk}
  broker:
    subscribe: $SYS/broker/uptime
pool: {workers: 1, chunk: 64}
"""


def arguments(*more: str) -> list[str]:
    kind = "embedded" if broker_kind() == "embedded" else "auto"
    return ["bench", "--broker", kind, *more]


def configuration(folder: Path, text: str = TWO_STREAMS) -> Path:
    (folder / "zones.geojson").write_text(SQUARE, encoding="utf-8")
    path = folder / "gw.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def bench(folder: Path, *more: str) -> dict[str, Any]:
    """The JSON of a run that is fine."""
    done = command(
        *arguments("--json", "--duration", "5", *more), folder=folder, seconds=110, **ENVIRONMENT
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert "hush" not in done.stdout + done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def check_figures(told: dict[str, Any]) -> None:
    """Everything was measured and every account balanced."""
    assert told["faults"] == []
    assert told["ceiling"]["rate"] > 0
    assert [latency["share"] for latency in told["latency"]] == [0.1, 0.5]
    assert all(0 < one["p50_ms"] <= one["p99_ms"] for one in told["latency"])
    for one in told["trials"]:
        assert one["rate"] > 0
        assert one["cpu_us"] > 0
        assert one["memory"]["service"] > one["memory"]["worker"] > 0
        for stream in one["streams"].values():
            outcomes = ("published", "filtered", "rejected", "reconciled")
            assert stream["received"] == sum(stream[name] for name in outcomes) > 0


@pytest.mark.slow
def test_the_demo_s_configuration_is_measured_without_a_file(tmp_path: Path) -> None:
    told = bench(tmp_path)
    check_figures(told)
    best = next(one for one in told["trials"] if one["setting"]["chunk"] == told["best"]["chunk"])
    assert set(best["streams"]) == {"buses", "receivers"}
    assert all(stream["rejected"] == 0 for stream in best["streams"].values())


def test_two_streams_get_made_up_inputs_and_a_third_is_left_out(tmp_path: Path) -> None:
    told = bench(tmp_path, "-c", str(configuration(tmp_path)))
    check_figures(told)
    assert list(told["left_out"]) == ["broker"]
    for one in told["trials"]:
        assert set(one["streams"]) == {"cars", "phones"}
        assert all(s["published"] == s["received"] for s in one["streams"].values())
    block = told["yaml"] + "streams: {a: {subscribe: a/+}}\n"
    loaded = load(configuration(tmp_path, block), {})
    assert loaded.faults == []


@pytest.mark.slow
def test_a_recording_is_sent_instead(tmp_path: Path) -> None:
    path = configuration(tmp_path, "streams: {a: {subscribe: t/+}, b: {subscribe: u/+}}")
    lines = [f'{{"type": "Point", "coordinates": [{n}, 1], "id": "d{n}"}}' for n in range(50)]
    (tmp_path / "some.geojsonl").write_text("\n".join([*lines, "no JSON"]), encoding="utf-8")
    (tmp_path / "others.txt").write_text("not JSON at all\n", encoding="utf-8")
    told = bench(
        tmp_path, "-c", str(path), "--sample", "a=some.geojsonl", "--sample", "b=others.txt"
    )
    check_figures(told)
    streams = told["trials"][0]["streams"]
    assert streams["a"]["published"] == streams["a"]["received"]
    assert streams["b"]["rejected"] == streams["b"]["received"]
    assert any("stream b: 100% of the inputs were rejected (json)" in n for n in told["notes"])


def test_the_report_for_people_ends_with_lines_to_paste(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def measured(*_: object) -> Report:
        return Report(about=("here",), left_out={}, findings=findings(trial(1.0)), suggestions=())

    monkeypatch.setattr("geoweir.cli.bench._measure", measured)
    assert (
        main(["bench", "-c", str(configuration(tmp_path, "streams: {a: {subscribe: t/+}}"))]) == 0
    )
    assert capsys.readouterr().out.splitlines()[-1].startswith("# nothing to change")


# What goes wrong.


def test_an_account_that_does_not_balance_ends_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def measured(*_: object) -> Report:
        wrong = replace(trial(1.0), faults=("1 inputs never arrived",))
        return Report(about=(), left_out={}, findings=findings(wrong), suggestions=())

    monkeypatch.setattr("geoweir.cli.bench._measure", measured)
    assert (
        main(["bench", "-c", str(configuration(tmp_path, "streams: {a: {subscribe: t/+}}"))]) == 1
    )
    assert "FAULT: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "more", "said"),
    [
        ("streams: {a: {subscribe: 't/#', qos: 7}}", [], "streams.a.qos"),
        ("streams: {a: {subscribe: $SYS/x}}", [], "there is nothing to send. stream a: nobody"),
        (
            "streams: {a: {subscribe: x/+}, b: {subscribe: y/+}}",
            ["--sample", "zones.geojson"],
            "--sample zones.geojson: write STREAM=FILE with one of a, b.",
        ),
        ("streams: {a: {subscribe: x/+}}", ["--sample", "empty"], "there is no input in it"),
        ("streams: {a: {subscribe: x/+}}", ["--duration", "nan"], "5 to 3600 seconds are wanted"),
    ],
)
def test_a_wrong_use_is_one_clear_line(
    tmp_path: Path, text: str, more: list[str], said: str
) -> None:
    path = configuration(tmp_path, text)
    (tmp_path / "empty").write_text("", encoding="utf-8")
    done = command(*arguments("-c", str(path), *more), folder=tmp_path)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_recording_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    path = configuration(tmp_path, "streams: {a: {subscribe: x/+}}")
    done = command(*arguments("-c", str(path), "--sample", "gone"), folder=tmp_path)
    assert (done.returncode, done.stderr) == (1, "geoweir: gone: No such file or directory.\n")


def test_a_service_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "steps.py").write_text("raise RuntimeError('not today')\n", encoding="utf-8")
    path = configuration(tmp_path, "streams: {a: {subscribe: x/+, steps: [{python: 'steps:run'}]}}")
    done = command(*arguments("-c", str(path), "--duration", "5"), folder=tmp_path, seconds=110)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("geoweir: the service did not start with this configuration: ")
    assert "not today" in last


# The end.


@contextmanager
def measuring(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], list[int]]]:
    """A bench in the middle of a measurement, and its descendants."""
    process = subprocess.Popen(
        [sys.executable, "-m", "geoweir", *arguments("--duration", "60")],
        cwd=folder,
        env=clean_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        # Guard and broker, service and its helpers, a worker at least.
        eventually(lambda: len(workers(process.pid)) > 0, 60)
        yield process, descendants(process.pid)
    finally:
        process.kill()
        process.wait(10)


def workers(pid: int) -> list[int]:
    """Processes that a service of the bench forked: only it has grandchildren of children."""
    return [
        grandchild
        for child in descendants(pid)
        if "geoweir.sizing.served" in command_line(child)
        for grandchild in descendants(child)
    ]


def command_line(pid: int) -> str:
    try:
        return (Path("/proc") / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def is_there(pid: int) -> bool:
    try:
        state = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -signal.SIGKILL)],
    ids=lambda value: getattr(value, "name", ""),
)
def test_nothing_outlives_the_command(tmp_path: Path, number: signal.Signals, status: int) -> None:
    with measuring(tmp_path) as (process, below):
        process.send_signal(number)
        assert process.wait(30) == status
        eventually(
            lambda: not any(map(is_there, below)),
            30,
            lambda: [command_line(pid) for pid in below if is_there(pid)],
        )
