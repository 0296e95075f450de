"""Progress of long work: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Progress", "progress_for"]

_BAR_EVERY_S: Final = 0.1
_LINE_EVERY_S: Final = 10.0
_WIDTH: Final = 30


class Progress:
    """Shows how far something is, not too often.

    Args:
        what: the word that plain lines begin with.
        out: where to; a bar where that is a terminal.
        clock: monotonic seconds.
    """

    def __init__(self, what: str, out: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._what = what
        self._out = out
        self._is_terminal = out.isatty()
        self._every_s = _BAR_EVERY_S if self._is_terminal else _LINE_EVERY_S
        self._clock = clock
        self._shown_at = clock()
        self._is_dirty = False

    def show(self, fraction: float, text: str) -> None:
        """Shows a share from 0 to 1 and a few words, when it is time."""
        now = self._clock()
        if now - self._shown_at < self._every_s:
            return
        self._shown_at = now
        if self._is_terminal:
            done = round(fraction * _WIDTH)
            bar = "█" * done + "░" * (_WIDTH - done)
            self._out.write(f"\r{bar} {fraction:4.0%}  {text}\x1b[K")
            self._is_dirty = True
        else:
            self._out.write(f"{self._what}: {fraction:.0%}, {text}\n")
        self._out.flush()

    def say(self, text: str) -> None:
        """A line of its own."""
        self.clear()
        self._out.write(f"{self._what}: {text}\n")
        self._out.flush()

    def clear(self) -> None:
        """Takes the bar away."""
        if self._is_dirty:
            self._out.write("\r\x1b[K")
            self._out.flush()
            self._is_dirty = False


@contextlib.contextmanager
def progress_for(what: str) -> Iterator[Progress]:
    """Progress on standard error; the bar is gone after the block."""
    progress = Progress(what, sys.stderr)
    try:
        yield progress
    finally:
        progress.clear()
