"""What a process and its descendants cost, read from ``/proc``: CPU time and memory."""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict
from pathlib import Path
from typing import Final

__all__ = ["cpu_s", "family", "peak_rss_mb", "pss_mb"]

_PROC: Final = Path("/proc")
_TICKS: Final = os.sysconf("SC_CLK_TCK")
#: Fields of ``stat`` after the command's name: parent, then the four times.
_PARENT: Final = 1
_TIMES: Final = slice(11, 15)  # user, system, and the same of children that were waited for


def family(pid: int) -> list[int]:
    """The process and all its living descendants."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children[int(fields[_PARENT])].append(int(entry.name))
    found = [pid]
    for member in found:
        found.extend(children[member])
    return found


def cpu_s(pid: int) -> float:
    """User and system seconds of the family so far; ended children count too."""
    ticks = sum(int(ticks) for member in family(pid) for ticks in _stat(member)[_TIMES])
    return ticks / _TICKS


def peak_rss_mb(pid: int) -> float:
    """The peaks of the family's members together; pages that they share count for each of them."""
    return sum(_kilobytes(member, "status", "VmHWM:") for member in family(pid)) / 1024


def pss_mb(pid: int) -> float:
    """What the family holds now; a shared page counts once, in parts."""
    return sum(_kilobytes(member, "smaps_rollup", "Pss:") for member in family(pid)) / 1024


def _stat(pid: int) -> list[str]:
    with contextlib.suppress(OSError):
        return (_PROC / str(pid) / "stat").read_text().rpartition(") ")[2].split()
    return []


def _kilobytes(pid: int, file: str, key: str) -> int:
    with contextlib.suppress(OSError):
        for line in (_PROC / str(pid) / file).read_text().splitlines():
            if line.startswith(key):
                return int(line.split()[1])
    return 0
