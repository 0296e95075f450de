r"""Structured logs on standard error: one line per event, as text or as JSON.

Values may come from the network. Control characters, ANSI escapes and bidirectional overrides are
taken out of every value, passwords in URLs are hidden, long values are cut, and a flood of one
event is thinned to a few lines a second that say how many they stand for.
"""

from __future__ import annotations

import logging
import re
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, Literal, TextIO

import orjson

__all__ = ["LOGGER", "FloodFilter", "LogFormat", "Value", "clean", "configure", "write"]

Value = str | int | float | bool | None | Sequence[str]
LogFormat = Literal["text", "json"]

#: geoweir's own logger; events write to it.
LOGGER: Final = logging.getLogger("geoweir")

_LONGEST_VALUE: Final = 1000  # characters
_MOST_ITEMS: Final = 20  # ids in one line; the reconciliation message has all of them
_BURST: Final = 10  # lines of one kind at once
_PER_SECOND: Final = 1.0  # lines of one kind after that
_MOST_KINDS: Final = 1000  # kinds that are told apart; libraries' messages are not a closed list

# No nested repetition: linear on any input.
_ANSI: Final = re.compile(r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?|\x1b[@-_]?")
_CONTROL: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff]"
)
_URL_SECRET: Final = re.compile(r"(?<=://)[^/@\s]{1,500}@")
_SECRET_KEY: Final = re.compile(r"passw|secret|token|credential", re.IGNORECASE)
_BARE: Final = re.compile(r"[\w.:/@%+,*\[\]()<>{}-]+")


def clean(value: str) -> str:
    """The text without anything that a terminal would act on, without passwords, and cut."""
    text = value[: 2 * _LONGEST_VALUE].encode(errors="replace").decode()
    text = _URL_SECRET.sub("***@", _CONTROL.sub(" ", _ANSI.sub("", text)))
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def write(
    logger: logging.Logger, level: int, event: str, reason: str = "", **fields: Value
) -> None:
    """Logs one event.

    ``event`` and ``reason`` must come from closed lists: floods are thinned by them.
    """
    values = {"reason": reason, **fields} if reason else fields
    logger.log(level, event, extra={"fields": values, "kind": (event, reason)})


def configure(
    level: str = "info",
    form: LogFormat = "text",
    *,
    stream: TextIO | None = None,
    process: int | None = None,
) -> None:
    """Sends every log line of the process to ``stream`` (standard error), in one form.

    ``process``: this process's number among several, said in each line.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_JsonLine() if form == "json" else _TextLine())
    handler.addFilter(FloodFilter())
    if process is not None:
        handler.addFilter(_Signature(process))
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)


class FloodFilter(logging.Filter):
    """Lets a burst of each kind of line pass, then one a second that counts the suppressed."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._kinds: dict[tuple[str, str], _Allowance] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line passes; ``record.suppressed`` is how many of its kind did not."""
        kind = getattr(record, "kind", (record.name, str(record.msg)))
        if kind not in self._kinds and len(self._kinds) >= _MOST_KINDS:
            kind = ("", "")
        now = self._clock()
        allowance = self._kinds.get(kind)
        if allowance is None:
            allowance = self._kinds[kind] = _Allowance(now)
        passes = allowance.take(now)
        record.suppressed = allowance.report() if passes else 0
        return passes


class _Signature(logging.Filter):
    """Says in each line which of several processes wrote it."""

    def __init__(self, process: int) -> None:
        super().__init__()
        self._process = process

    def filter(self, record: logging.LogRecord) -> bool:
        """Every line passes."""
        record.fields = {"process": self._process, **getattr(record, "fields", {})}
        return True


class _Allowance:
    """A bucket of lines that fills by time."""

    __slots__ = ("_filled_at", "_lines", "_suppressed")

    def __init__(self, now: float) -> None:
        self._lines = float(_BURST)
        self._filled_at = now
        self._suppressed = 0

    def take(self, now: float) -> bool:
        self._lines = min(_BURST, self._lines + (now - self._filled_at) * _PER_SECOND)
        self._filled_at = now
        if self._lines < 1:
            self._suppressed += 1
            return False
        self._lines -= 1
        return True

    def report(self) -> int:
        suppressed, self._suppressed = self._suppressed, 0
        return suppressed


class _TextLine(logging.Formatter):
    """``time level event key=value…``."""

    def format(self, record: logging.LogRecord) -> str:
        """The event as text."""
        fields = _fields(record)
        pairs = "".join(f" {key}={_text(value)}" for key, value in fields.items())
        return f"{_time(record)} {record.levelname:7} {_event(record)}{pairs}"


class _JsonLine(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The event as JSON."""
        line = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "event": _event(record),
            **_fields(record),
        }
        return orjson.dumps(line, option=orjson.OPT_NON_STR_KEYS, default=str).decode()


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"


def _event(record: logging.LogRecord) -> str:
    return clean(record.getMessage())


def _fields(record: logging.LogRecord) -> dict[str, Value]:
    own: Mapping[str, Value] = getattr(record, "fields", {})
    fields = {key: _cleaned(key, value) for key, value in own.items()}
    if record.name != LOGGER.name:
        fields["logger"] = clean(record.name)
    if suppressed := getattr(record, "suppressed", 0):
        fields["suppressed"] = suppressed
    if record.exc_info and record.exc_info[1] is not None:
        fields |= _fault(record.exc_info[1])
    return fields


def _fault(error: BaseException) -> dict[str, Value]:
    """The exception on one line, and its traceback where the level asks for it."""
    fault: dict[str, Value] = {"error": clean(f"{type(error).__name__}: {error}")}
    if logging.getLogger().isEnabledFor(logging.DEBUG):
        frames = traceback.extract_tb(error.__traceback__)
        fault["traceback"] = " < ".join(f"{f.name}:{f.lineno}" for f in reversed(frames))
    return fault


def _cleaned(key: str, value: Value) -> Value:
    if _SECRET_KEY.search(key):
        return "***"
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Sequence):
        more = len(value) - _MOST_ITEMS
        shown = [clean(item) for item in value[:_MOST_ITEMS]]
        return [*shown, f"and {more} more"] if more > 0 else shown
    return value


def _text(value: Value) -> str:
    if isinstance(value, str):
        is_bare = _BARE.fullmatch(value) is not None
        return value if is_bare else orjson.dumps(value).decode()
    if isinstance(value, Sequence):
        return orjson.dumps(list(value)).decode()
    if isinstance(value, bool) or value is None:
        return orjson.dumps(value).decode()
    return f"{value:.6g}" if isinstance(value, float) else str(value)
