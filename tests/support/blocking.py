"""Makes a service's loop block when it is sent SIGUSR2, as a C call that keeps it would."""

from __future__ import annotations

from typing import Final

__all__ = ["BLOCKER", "FILE"]

#: A line of a .pth file, which every interpreter runs that finds it among its site packages.
BLOCKER: Final = "import signal, time; signal.signal(signal.SIGUSR2, lambda *_: time.sleep(3600))\n"
FILE: Final = "block.pth"
