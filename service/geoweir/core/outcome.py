"""The four ways an input can end, and the closed list of reasons for each.

Every name here is the same in messages, metrics, logs and documents. Adding a reason means: this
table, ``docs/outcomes.md`` and a test that reaches it, in one change.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

__all__ = ["REASONS", "REASON_CODES", "Outcome", "outcome_of"]


class Outcome(StrEnum):
    """How an input ended; each input has exactly one."""

    PUBLISHED = "published"
    FILTERED = "filtered"
    REJECTED = "rejected"
    RECONCILED = "reconciled"


REASONS: Final[dict[Outcome, tuple[str, ...]]] = {
    # Published needs no reason: the metric label is empty.
    Outcome.PUBLISHED: ("",),
    # The user's configuration says that this input is not wanted.
    Outcome.FILTERED: (
        "bbox",  # outside prefilter.bbox
        "z",  # outside prefilter.z
        "age",  # older than prefilter.max_age
        "interval",  # sooner than prefilter.min_interval after the last of the same id
        "repeat",  # equal to one that came before, within dedupe
        "retained",  # a retained message while retained: ignore
        "where",  # a where step said no to every feature
        "step",  # a user's own step dropped every feature
        "no-features",  # a FeatureCollection without features
    ),
    # The sender's fault: the input can never be processed as it is.
    Outcome.REJECTED: (
        "empty",  # no payload
        "json",  # not JSON as RFC 8259 has it (NaN, 1e400, lone surrogates, bad UTF-8, binary)
        "shape",  # JSON, but not what the stream's format expects
        "geometry",  # a geometry of an unknown type, or with malformed coordinates
        "id",  # no id at the configured path, or one that can't be an id
        "identity",  # an id that is not the topic's, where id_must_match wants it to be
        "time",  # a time that can't be read or is not between 2000 and 9998
        "crs",  # a CRS that the configuration doesn't name
        # Over a limit, by the limit's name in the configuration:
        "payload",
        "depth",
        "features",
        "vertices",
        "coordinate",
        "ahead",
        "ids",
        "topic",  # no output topic can be made of it
        "refused",  # the broker refused a message that the outcome needed
    ),
    # Our fault or the moment's: the input may be sent again.
    Outcome.RECONCILED: ("timeout", "memory", "crash", "overflow", "shutdown"),
}

#: Reasons as small integers for frames between processes; 0 is "published".
REASON_CODES: Final[tuple[tuple[Outcome, str], ...]] = tuple(
    (outcome, reason) for outcome, reasons in REASONS.items() for reason in reasons
)

_CODE_OF: Final[dict[tuple[Outcome, str], int]] = {
    pair: code for code, pair in enumerate(REASON_CODES)
}


def outcome_of(outcome: Outcome, reason: str = "") -> int:
    """The code of an outcome and reason; KeyError when the pair is not in the closed list."""
    return _CODE_OF[outcome, reason]
