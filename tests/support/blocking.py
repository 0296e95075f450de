"""Makes a service's loop block when it is sent SIGUSR2, as a C call that keeps it would."""

from __future__ import annotations

from typing import Final

__all__ = ["BLOCKER", "FILE"]

#: Code on one line: in a .pth file every interpreter runs it that finds it among its packages.
BLOCKER: Final = (
    "import signal, time;signal.signal(signal.SIGUSR2, lambda *_, sleep=time.sleep: sleep(3600))\n"
)
FILE: Final = "block.pth"
