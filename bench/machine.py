"""Where and with what a measurement was made."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from brokers import mosquitto_path
from errors import MissingError

__all__ = ["describe"]

_PACKAGES: Final = ("geoweir", "aiomqtt", "paho-mqtt", "shapely", "numpy", "orjson", "msgspec")


def describe() -> dict[str, Any]:
    """Machine, versions, date and load.

    Raises:
        MissingError: a package or the broker is not installed.
    """
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cpu": _field("/proc/cpuinfo", "model name") or platform.machine(),
            "cores": len(os.sched_getaffinity(0)),
            "architecture": platform.machine(),
            "kernel": platform.release(),
            "memory_mb": int((_field("/proc/meminfo", "MemTotal") or "0").split()[0]) // 1024,
            "load": os.getloadavg()[0],
        },
        "versions": {
            "python": platform.python_version(),
            "mosquitto": _mosquitto(),
            **{name: _version(name) for name in _PACKAGES},
        },
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        raise MissingError(
            f"{package} is not installed for {platform.python_implementation()} "
            f"{platform.python_version()}: run `make bench`, or `pip install -e .` first"
        ) from None


def _mosquitto() -> str:
    told = subprocess.run([mosquitto_path(), "-h"], capture_output=True, text=True, check=False)
    first, _, _ = told.stdout.partition("\n")
    return first.rpartition(" ")[2] or "unknown"


def _field(file: str, key: str) -> str | None:
    for line in Path(file).read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return None
