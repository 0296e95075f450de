"""How long a process was ready to run and had no processor: the machine's fault, not its own."""

from __future__ import annotations

import contextlib
import os
from typing import Final

__all__ = ["RunQueue"]

_NANO: Final = 1e-9


class RunQueue:
    """The time that one process has waited for a processor, by ``/proc/PID/schedstat``.

    The second field there is nanoseconds on a run queue, of the main thread. A kernel without
    scheduler statistics has none: it is 0 then.
    """

    def __init__(self, pid: int) -> None:
        self._descriptor: int | None = None
        with contextlib.suppress(OSError):
            self._descriptor = os.open(f"/proc/{pid}/schedstat", os.O_RDONLY | os.O_CLOEXEC)

    def waited_s(self) -> float:
        """Seconds since its start."""
        if self._descriptor is None:
            return 0.0
        try:
            return int(os.pread(self._descriptor, 128, 0).split()[1]) * _NANO
        except (OSError, ValueError, IndexError):
            return 0.0

    def close(self) -> None:
        """Gives the descriptor back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
