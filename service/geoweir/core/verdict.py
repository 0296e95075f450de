"""What is to become of a parcel: an outcome per input, and the messages that the outcomes need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from geoweir.core.parcel import Parcel
from geoweir.core.work import OutMessage

__all__ = ["Verdict"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A parcel with its outcomes, on its way to be delivered.

    ``codes[i]`` indexes ``core.outcome.REASON_CODES``. A message's ``input`` is the index of the
    input that needs it, or -1 when all inputs with the same kind of outcome share it. ``details``
    says more of reconciled inputs' reasons, by index: their message has no room for it.
    """

    parcel: Parcel
    codes: bytes
    messages: list[OutMessage]
    details: Mapping[int, str] = field(default_factory=dict)
