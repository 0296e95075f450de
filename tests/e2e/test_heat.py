"""A real service on a gateway that gets warm: a folder whose temperature the test sets."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.accounting import read
from support.eventually import eventually
from support.gateway import Sysfs, cpu_gateway
from support.outside import point
from support.running import Running, run_service
from support.service import command

CONFIG = {
    "streams": {"s": {"subscribe": "in/#", "steps": [{"python": "mischief:slow"}]}},
    # A feature takes a millisecond: a whole chunk an eighth of the deadline, and a half.
    "pool": {"workers": 2, "timeout": "700ms"},
    "thermal": {"root": "gateway", "smallest_chunk": 16},
}

BUSY = "geoweir_worker_busy_seconds_total"


@pytest.fixture
def gateway(tmp_path: Path) -> Sysfs:
    return cpu_gateway(tmp_path / "gateway")


@contextmanager
def feed(running: Running) -> Iterator[list[str]]:
    """Sends more than two workers can do until the block ends; the ids that were sent."""
    ids: list[str] = []
    end = threading.Event()

    def send() -> None:
        while not end.is_set():
            more = [f"i{n}" for n in range(len(ids), len(ids) + 500)]
            running.sender.send((f"in/{ident}", point(ident)) for ident in more)
            ids.extend(more)
            # No further ahead than what the workers do in a moment.
            while running.service.settled() < len(ids) - 2000 and not end.wait(0.05):
                pass

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield ids
    finally:
        end.set()
        thread.join()


def busy_share(running: Running, seconds: float) -> float:
    """The share of both workers' time that chunks take."""
    before, since = running.service.metric(BUSY), time.monotonic()
    time.sleep(seconds)
    return (running.service.metric(BUSY) - before) / (time.monotonic() - since) / 2


def duty(running: Running) -> float:
    return running.service.metric("geoweir_duty_ratio")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_work_falls_with_heat_and_comes_back_and_nothing_is_lost(
    tmp_path: Path, gateway: Sysfs
) -> None:
    with run_service(tmp_path, CONFIG) as running:
        service = running.service
        eventually(lambda: service.metric("geoweir_temperature_celsius") == 50.0)
        assert service.metric("geoweir_temperature_limit_celsius") == 75.0
        assert service.metric("geoweir_cpu_frequency_hertz") == 1.5e9
        assert service.metric("geoweir_undervoltage") == 0.0
        assert 0.0 < service.metric("geoweir_cpu_speed_ratio") <= 1.0
        assert service.metric("geoweir_pressure_ratio", resource="io") == 0.125
        assert (duty(running), service.metric("geoweir_chunk_limit")) == (1.0, 128.0)

        with feed(running) as ids:
            gateway.warm(79.0)
            hot = eventually(lambda: d if (d := duty(running)) < 0.8 else None)
            assert hot is not None
            assert service.metric("geoweir_temperature_celsius") == 79.0
            eventually(lambda: service.metric("geoweir_chunk_limit") < 128)
            assert service.metric("geoweir_chunk_limit") >= 16
            gateway.warm(73.0)  # neither hot nor cool: the duty stays
            assert busy_share(running, 10) == pytest.approx(duty(running), abs=0.1)
            gateway.warm(45.0)
            eventually(lambda: duty(running) > hot, 100, service.log)

        account = service.wait_settled(len(ids))
        assert account["unaccounted"] == 0
        assert account["streams"]["s"]["published"] == len(ids)
        eventually(lambda: len(read(running.listener.heard, "s").published) == len(ids))
        log = service.log()
        assert "thermal_zone0 (cpu-thermal): slowed at 75" in log
        assert "duty-changed reason=hot" in log
        assert "duty-changed reason=cooling" in log
        assert service.stop() == 0


def test_a_sensor_that_is_lost_shows_and_the_supply_that_is_too_weak_too(
    tmp_path: Path, gateway: Sysfs
) -> None:
    with run_service(tmp_path, CONFIG) as running:
        service = running.service
        eventually(lambda: service.metric("geoweir_temperature_celsius") == 50.0)
        gateway.write("sys/class/thermal/thermal_zone0/temp", "")
        gateway.write("sys/class/hwmon/hwmon1/in0_lcrit_alarm", 1)
        eventually(lambda: math.isnan(service.metric("geoweir_temperature_celsius")))
        eventually(lambda: service.metric("geoweir_undervoltage") == 1.0)
        eventually(lambda: "voltage-changed" in service.log() and "sensor-changed" in service.log())
        assert duty(running) == 1.0  # held, for now


def test_without_a_sensor_all_work_is_done_and_it_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "gateway").mkdir()
    with run_service(tmp_path, CONFIG) as running:
        service = running.service
        eventually(lambda: "no sensor" in service.log())
        assert math.isnan(service.metric("geoweir_temperature_celsius"))
        assert math.isnan(service.metric("geoweir_temperature_limit_celsius"))
        assert math.isnan(service.metric("geoweir_undervoltage"))
        assert duty(running) == 1.0
        running.give("in/x", point("x"), "geoweir/s/x")
        assert service.stop() == 0
        assert service.log().count("no sensor") == 1


def test_the_plan_names_sensor_limit_and_why(tmp_path: Path, gateway: Sysfs) -> None:
    gateway.warm(60.0)
    (tmp_path / "gw.yaml").write_text(
        'streams: {s: {subscribe: "in/#"}}\nthermal: {root: gateway}\n', encoding="utf-8"
    )
    found = command("check", "-c", "gw.yaml", folder=tmp_path)
    assert found.returncode == 0, found.stderr
    assert (
        "heat      thermal_zone0 (cpu-thermal): slowed at 75 °C (the lowest passive trip, 80,"
        " less 5), faster again below 70 °C"
    ) in found.stdout.splitlines()
