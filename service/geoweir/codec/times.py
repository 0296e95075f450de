"""Fix times: what senders write, as Unix seconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from geoweir.core.prefilter import CLOCK_IS_SANE_S
from geoweir.errors import SenderError

__all__ = ["check_ahead", "read_time"]

_EARLIEST_S: Final = 946_684_800.0  # 2000-01-01
_END_S: Final = 253_370_764_800.0  # 9999-01-01, the first moment that is too late
_LONGEST_TEXT: Final = 64
_NUMBER: Final = re.compile(r"[0-9]{1,20}(?:\.[0-9]{0,20})?(?:[eE]\+?[0-9]{1,2})?")
_LEAP_SECOND: Final = re.compile(r":60(?:[.,][0-9]+)?")


def read_time(value: object) -> float | None:
    """Reads a fix time: ISO 8601 (without an offset it is UTC) or Unix seconds.

    A leap second (``:60``) is the last millisecond of the second before it. A text of digits only
    is Unix seconds.

    Args:
        value: what stands at the configured path.

    Returns:
        Unix seconds; None for None.

    Raises:
        SenderError: ``time`` when it can't be read or is not in the years 2000 to 9998.
    """
    if value is None:
        return None
    if type(value) is float or type(value) is int:
        seconds = float(value)
    elif type(value) is str:
        seconds = _from_text(value)
    else:
        raise SenderError("time", "The time is neither a text nor a number.")
    if _EARLIEST_S <= seconds < _END_S:
        return seconds
    raise SenderError("time", _out_of_range(seconds))


def check_ahead(seconds: float | None, received: float, ahead_s: float) -> None:
    """Refuses a fix time too far in the future, unless our own clock is plainly wrong.

    Raises:
        SenderError: ``ahead``.
    """
    if seconds is None or seconds <= received + ahead_s or received < CLOCK_IS_SANE_S:
        return
    raise SenderError(
        "ahead",
        f"The time lies {seconds - received:.0f} s after the arrival; limits.ahead allows"
        f" {ahead_s:g} s.",
    )


def _from_text(text: str) -> float:
    if len(text) > _LONGEST_TEXT:
        raise SenderError("time", f"The time is a text of more than {_LONGEST_TEXT} characters.")
    if text[4:5] != "-" and _NUMBER.fullmatch(text):
        return float(text)
    iso = text.upper()
    if ":60" in iso:
        iso = _LEAP_SECOND.sub(":59.999", iso, count=1)
    try:
        moment = datetime.fromisoformat(iso)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment.timestamp()
    except (ValueError, OverflowError):
        raise SenderError("time", f"{text!a} is no ISO 8601 time.") from None


def _out_of_range(seconds: float) -> str:
    detail = "The time is not between the years 2000 and 9998"
    if _EARLIEST_S <= seconds / 1000 < _END_S:
        return f"{detail}; it looks like milliseconds, Unix seconds are expected."
    return f"{detail}; expected are ISO 8601 or Unix seconds."
