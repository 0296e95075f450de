"""Pressure: the share of time that something waited for a resource (PSI).

Source: the kernel's Documentation/accounting/psi.rst. It is polled: triggers need write access. The
control group's own files go before those of the machine, which a container sees too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from geoweir.telemetry.gateway.sysfs import text

__all__ = ["RESOURCES", "pressure"]

RESOURCES: Final = ("cpu", "memory", "io")

_SOME: Final = re.compile(r"^some avg10=(\d{1,3}\.\d{1,4})\b", re.MULTILINE)


def pressure(root: Path) -> Mapping[str, float]:
    """Shares of the last ten seconds, 0 to 1, by resource; only those that can be read."""
    found = {}
    for resource in RESOURCES:
        own = text(root / f"sys/fs/cgroup/{resource}.pressure")
        line = _SOME.search(own or text(root / f"proc/pressure/{resource}") or "")
        if line is not None:
            found[resource] = float(line[1]) / 100
    return found
