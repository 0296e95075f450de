from __future__ import annotations

from pathlib import Path

import pytest

from geoweir.telemetry.gateway.pressure import pressure
from geoweir.telemetry.gateway.processor import frequency_hz, is_throttled, is_undervolted
from geoweir.telemetry.gateway.sensor import bounds_of, find_sensor
from support.gateway import Sysfs, cpu_gateway


def test_the_processors_zone_is_taken_and_never_the_hottest(tmp_path: Path) -> None:
    cpu_gateway(tmp_path, 50.0)
    sensor = find_sensor(tmp_path)
    assert sensor is not None
    assert (sensor.celsius(), sensor.passive) == (50.0, 80.0)
    assert bounds_of(sensor, None, None).limit == 75.0
    assert bounds_of(sensor, 60.0, 65.0).resume == 59.0


@pytest.mark.parametrize("kind", ["soc-thermal", "CPU-therm", "x86_pkg_temp", "bigcore0-thermal"])
def test_boards_name_their_processor_differently(tmp_path: Path, kind: str) -> None:
    made = Sysfs(tmp_path)
    made.zone(0, "gpu-thermal", 90.0)
    made.zone(1, kind, 40.0)
    sensor = find_sensor(tmp_path)
    assert sensor is not None
    assert sensor.celsius() == 40.0
    assert sensor.passive is None


@pytest.mark.parametrize("text", ["", "x", "-273000", "999000", "1" * 5000])
def test_what_cannot_be_true_is_no_reading(tmp_path: Path, text: str) -> None:
    made = cpu_gateway(tmp_path)
    made.write("sys/class/thermal/thermal_zone0/temp", text)
    sensor = find_sensor(tmp_path)
    assert sensor is not None
    assert sensor.celsius() is None


def test_a_sensor_by_name_or_none(tmp_path: Path) -> None:
    cpu_gateway(tmp_path)
    for name in ("PMIC-Die", "thermal_zone1"):
        sensor = find_sensor(tmp_path, name)
        assert sensor is not None
        assert sensor.celsius() == 100.0
    assert find_sensor(tmp_path, "absent") is None
    assert find_sensor(tmp_path / "nowhere") is None


def test_signs_of_throttling(tmp_path: Path) -> None:
    made = cpu_gateway(tmp_path)
    assert (is_throttled(tmp_path), is_undervolted(tmp_path)) == (False, False)
    assert frequency_hz(tmp_path) == 1.5e9
    assert pressure(tmp_path) == {"cpu": 0.125, "memory": 0.125, "io": 0.125}
    made.write("sys/class/thermal/cooling_device0/type", "thermal-cpufreq-0")
    made.write("sys/class/thermal/cooling_device0/cur_state", 2)
    made.write("sys/class/hwmon/hwmon1/in0_lcrit_alarm", 1)
    assert (is_throttled(tmp_path), is_undervolted(tmp_path)) == (True, True)
