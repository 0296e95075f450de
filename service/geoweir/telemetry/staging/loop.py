"""What asyncio's debug mode and the interpreter say of carelessness, counted by kind.

A kind is logged once, with its first example; a place that is slow all day must not fill a disk.
"""

from __future__ import annotations

import contextlib
import logging
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Final

from geoweir.telemetry.log import LOGGER, write

__all__ = ["LoopWatch"]

#: Kinds that are told apart; further ones count as one.
_MOST_KINDS: Final = 64
_OTHERS: Final = "others"
_TEXT: Final = 200
#: The coroutine or function in the text of a handle: ``<Task ... coro=<Flow.run() running ...>``.
_WHAT: Final = re.compile(r"coro=<([\w.<>]+)\(|<(?:Timer)?Handle ([\w.<>]+)\(")
#: ``unclosed transport <_SelectorSocketTransport fd=7>`` without what differs each time.
_UNCLOSED: Final = re.compile(r"[A-Za-z_.][\w.]*(?=[\s>:]|$)")
_WORDS: Final = 4


class LoopWatch:
    """Counts slow callbacks and what nobody closed, while ``watching``.

    Attributes:
        slow: callbacks that held the loop for longer than it allows, by what they ran.
        unclosed: by what it was.
    """

    def __init__(self) -> None:
        self.slow: Counter[str] = Counter()
        self.unclosed: Counter[str] = Counter()

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Hears what asyncio logs and what is warned of, and undoes that at the end."""
        logger = logging.getLogger("asyncio")
        logger.addFilter(self._is_news)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("always", ResourceWarning)
                warnings.showwarning = self._warned
                yield
        finally:
            logger.removeFilter(self._is_news)

    def _is_news(self, record: logging.LogRecord) -> bool:
        if not (isinstance(record.msg, str) and record.msg.startswith("Executing ")):
            return True
        found = _WHAT.search(str(record.args[0]) if isinstance(record.args, tuple) else "")
        return _note(self.slow, (found[1] or found[2]) if found else _OTHERS)

    def _warned(self, message: Warning | str, *_: object, **__: object) -> None:
        kind = " ".join(_UNCLOSED.findall(str(message).replace("<", ""))[:_WORDS])
        if _note(self.unclosed, kind):
            write(LOGGER, logging.WARNING, "warned", kind=kind, detail=str(message)[:_TEXT])


def _note(counts: Counter[str], kind: str) -> bool:
    """Counts one, and says whether it is the first of its kind."""
    if kind not in counts and len(counts) >= _MOST_KINDS:
        kind = _OTHERS
    counts[kind] += 1
    return counts[kind] == 1
