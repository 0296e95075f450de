"""Fixtures of every test: a clean environment, and a broker."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.brokers import Broker, open_broker

#: What tests themselves read; everything else of geoweir's would reach the code under test.
_OURS = {
    "GEOWEIR_ARM64_BASE_IMAGE",
    "GEOWEIR_BASE_IMAGE",
    "GEOWEIR_FAULTS",
    "GEOWEIR_FAULTS_REPORT",
    "GEOWEIR_HOSTILE_MINUTES",
    "GEOWEIR_HOSTILE_RATE",
    "GEOWEIR_SOAK_MINUTES",
    "GEOWEIR_KERNEL",
    "GEOWEIR_IMAGE",
    "GEOWEIR_MOSQUITTO_IMAGE",
    "GEOWEIR_PROMETHEUS_IMAGE",
    "GEOWEIR_GRAFANA_IMAGE",
    "GEOWEIR_SAMPLES",
    "GEOWEIR_TEST_BROKER",
    "GEOWEIR_TEST_PROTOCOL",
}

for _name in [name for name in os.environ if name.startswith("GEOWEIR_") and name not in _OURS]:
    del os.environ[_name]

# A shell starts what runs beside it with SIGINT ignored, and children inherit that: commands that
# are to end by it would not.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Layers that are compiled on the way don't stay with whoever runs the tests."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """An empty broker of the kind that the environment asks for."""
    folder = tmp_path / "broker"
    folder.mkdir()
    with open_broker(folder) as opened:
        yield opened
