"""What streams remember of their inputs, as it is saved: named values, each replaced as a whole."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["StateChange", "StateRow"]


class StateRow(NamedTuple):
    """One saved value; ``moment`` is Unix seconds, by which rows come back in order."""

    id: str
    value: bytes
    moment: float


class StateChange(NamedTuple):
    """A value that is new, or gone (None), of one stream and kind of memory."""

    stream: str
    kind: str
    id: str
    value: bytes | None
    moment: float
