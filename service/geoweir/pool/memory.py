"""How much memory a worker has for itself, and ending it when that is more than the cap.

The rule: private = anonymous - inherited. *Anonymous* is resident - shared of
``/proc/PID/statm``, which costs a microsecond and leaves mapped files out, but counts pages that
the worker got at its fork and still shares with the forkserver (modules, preloaded layers).
*Inherited* is those pages, which only the slower ``smaps_rollup`` can tell (a quarter of a
millisecond): the worker measures it when it is ready and again at most once a second, because a
page that it writes on becomes its own.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

__all__ = ["RECYCLE_SHARE", "Inherited", "Statm", "reserved_bytes"]

#: A worker that still holds more than this share of its cap after a chunk is replaced.
RECYCLE_SHARE: Final = 0.8

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_KIB: Final = 1024


class Statm:
    """The anonymous memory of one process, through a descriptor that is kept open."""

    def __init__(self, pid: int) -> None:
        self._descriptor: int | None = os.open(f"/proc/{pid}/statm", os.O_RDONLY | os.O_CLOEXEC)

    def anonymous(self) -> int:
        """Bytes that are resident and not backed by a file; 0 when the process is gone."""
        if self._descriptor is None:
            return 0
        try:
            fields = os.pread(self._descriptor, 128, 0).split()
        except ProcessLookupError:
            return 0
        return (int(fields[1]) - int(fields[2])) * _PAGE

    def close(self) -> None:
        """Gives the descriptor back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class Inherited:
    """What this process shares with others, through a descriptor: a sandbox opens none later."""

    def __init__(self) -> None:
        self._descriptor: int | None = None
        with contextlib.suppress(OSError):
            self._descriptor = os.open("/proc/self/smaps_rollup", os.O_RDONLY | os.O_CLOEXEC)

    def bytes(self) -> int | None:
        """Anonymous bytes that it shares; None when not to be known."""
        if self._descriptor is None:
            return None
        try:
            text = os.pread(self._descriptor, 8192, 0).decode("ascii", "replace")
        except OSError:
            return None
        sizes = _kib_fields(text, ("Anonymous", "Private_Dirty"))
        return max(0, sizes["Anonymous"] - sizes["Private_Dirty"])


def reserved_bytes() -> int:
    """What this process counts against RLIMIT_DATA now (VmData)."""
    text = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return _kib_fields(text, ("VmData",))["VmData"]


def _kib_fields(text: str, names: tuple[str, ...]) -> dict[str, int]:
    sizes = dict.fromkeys(names, 0)
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name in sizes:
            sizes[name] = int(value.split()[0]) * _KIB
    return sizes
