"""How commands end that show something until somebody has enough of it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

__all__ = ["until_enough"]


@contextlib.contextmanager
def until_enough() -> Iterator[None]:
    """Ends the block in peace on Ctrl-C, and when whoever reads the output leaves."""
    try:
        yield
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:
        # The interpreter flushes at its end: let it, into nothing.
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)
