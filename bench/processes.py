"""What a process and its descendants cost, read from ``/proc``: CPU time and memory."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = [
    "Memory",
    "cpu_s",
    "family",
    "machine_cpu_s",
    "peak_rss_mb",
    "pss_mb",
    "rss_mb",
    "watched",
]

_PROC: Final = Path("/proc")
_TICKS: Final = os.sysconf("SC_CLK_TCK")
#: Fields of ``stat`` after the command's name: parent, then the four times.
_PARENT: Final = 1
_OWN: Final = slice(11, 13)  # user, system
_ALL: Final = slice(11, 15)  # and the same of children that were waited for
_EVERY_S: Final = 0.5


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


def cpu_s(pid: int, *, alone: bool = False) -> float:
    """User and system seconds so far: of the family, ended children too, or the process alone."""
    members, times = ([pid], _OWN) if alone else (family(pid), _ALL)
    ticks = sum(int(ticks) for member in members for ticks in _stat(member)[times])
    return ticks / _TICKS


def machine_cpu_s() -> float:
    """Seconds that all processes together, and the machine's neighbours, have used so far."""
    fields = (_PROC / "stat").read_text().partition("\n")[0].split()[1:9]
    user, nice, system, _idle, _waiting, *interrupts_and_stolen = map(int, fields)
    return (user + nice + system + sum(interrupts_and_stolen)) / _TICKS


def peak_rss_mb(pid: int) -> float:
    """The most that the process alone ever held; pages that it shares count in full."""
    return _kilobytes(pid, "status", "VmHWM:") / 1024


def rss_mb(pid: int) -> float:
    """What the process alone holds now; pages that it shares count in full."""
    return _kilobytes(pid, "status", "VmRSS:") / 1024


def pss_mb(pid: int) -> float:
    """What the process alone holds now; a shared page counts in parts."""
    return _kilobytes(pid, "smaps_rollup", "Pss:") / 1024


@dataclass(frozen=True, slots=True)
class Memory:
    """What a process and the family below it held at a moment, in MB.

    Attributes:
        at_s: since watching began.
        below_pss: of all its descendants together.
    """

    at_s: float
    rss: float
    pss: float
    below_pss: float


@contextlib.contextmanager
def watched(pid: int, every_s: float = _EVERY_S) -> Iterator[list[Memory]]:
    """The memory of a process from now on, at the beginning, every so often, and at the end."""
    found: list[Memory] = []
    begin, over = time.monotonic(), threading.Event()

    def look() -> None:
        below = sum(pss_mb(member) for member in family(pid)[1:])
        found.append(Memory(time.monotonic() - begin, rss_mb(pid), pss_mb(pid), below))

    def watch() -> None:
        while not over.wait(every_s):
            look()

    look()
    thread = threading.Thread(target=watch, daemon=True, name="memory")
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()
        look()


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
