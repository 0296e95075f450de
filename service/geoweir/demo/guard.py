"""Runs a command that must not outlive whoever started it.

    python -m geoweir.demo.guard FOLDER COMMAND…

The starter holds the other end of standard input. When that closes, by intention or because the
starter was killed, the command is ended, and the folder that it used is removed.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from typing import Final

__all__ = ["main"]

_GRACE_S: Final = 5.0
_CHUNK: Final = 4096


def main(folder: str, command: list[str]) -> int:
    """Runs the command until it ends or standard input does; its exit status."""
    # A session of its own (see broker.py) keeps Ctrl-C away; who asks us to end means both.
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 - our own command
    signal.signal(signal.SIGTERM, lambda _number, _frame: child.terminate())
    threading.Thread(target=_end_when_closed, args=(child,), daemon=True).start()
    try:
        return child.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _end_when_closed(child: subprocess.Popen[bytes]) -> None:
    # The descriptor itself: a buffered reader can't be taken down while a thread reads it.
    while os.read(0, _CHUNK):
        continue
    child.terminate()
    try:
        child.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        child.kill()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
