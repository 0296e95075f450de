"""What processes cost, read from ``/proc``: CPU time and memory."""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Final

__all__ = ["busy_s", "cpu_s", "family", "inherited_bytes", "private_bytes", "workers_of"]

_PROC: Final = Path("/proc")
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
#: Fields of ``stat`` after the command's name.
_PARENT: Final = 1
_TIMES: Final = slice(11, 15)  # user and system, its own and of children that it waited for
#: Columns of the first line of ``/proc/stat`` in which a core does nothing.
_IDLE: Final = (3, 4)
_COLUMNS: Final = 8  # those after are counted in the ones before


def family(pid: int) -> list[int]:
    """A process and its living descendants."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children[int(fields[_PARENT])].append(int(entry.name))
    found = [pid]
    for member in found:
        found.extend(children[member])
    return found


def workers_of(service: int) -> list[int]:
    """The workers of a service: what its forkserver forked."""
    members = family(service)
    return [pid for pid in members if (stat := _stat(pid)) and _grandparent(stat) == service]


def _grandparent(stat: list[str]) -> int:
    above = _stat(int(stat[_PARENT]))
    return int(above[_PARENT]) if above else 0


def cpu_s(pids: Iterable[int]) -> float:
    """User and system seconds so far; those of children that have ended too."""
    return sum(int(ticks) for pid in pids for ticks in _stat(pid)[_TIMES]) / _TICKS


def private_bytes(pid: int) -> int:
    """Memory that a process has for itself and no file backs; 0 when it is gone."""
    with contextlib.suppress(OSError, IndexError):
        fields = (_PROC / str(pid) / "statm").read_text(encoding="ascii").split()
        return (int(fields[1]) - int(fields[2])) * _PAGE
    return 0


def inherited_bytes(pid: int) -> int:
    """Of these, what a worker got at its fork and still shares: the pool does not count it."""
    sizes = {"Anonymous": 0, "Private_Dirty": 0}
    with contextlib.suppress(OSError, ValueError, IndexError):
        text = (_PROC / str(pid) / "smaps_rollup").read_text(encoding="ascii")
        for line in text.splitlines():
            name, found, rest = line.partition(":")
            if found and name in sizes:
                sizes[name] = int(rest.split()[0]) * 1024
    return max(0, sizes["Anonymous"] - sizes["Private_Dirty"])


def busy_s() -> float:
    """Seconds that the cores of the whole machine have been busy, together."""
    with contextlib.suppress(OSError, ValueError):
        line = (_PROC / "stat").read_text(encoding="ascii").partition("\n")[0]
        columns = [int(text) for text in line.split()[1 : _COLUMNS + 1]]
        return (sum(columns) - sum(columns[at] for at in _IDLE)) / _TICKS
    return 0.0


def _stat(pid: int) -> list[str]:
    with contextlib.suppress(OSError):
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        return text.rpartition(") ")[2].split()
    return []
