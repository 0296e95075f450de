"""What is said about an input that is refused."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Rejection"]


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why an input is refused: the sender's fault.

    Attributes:
        reason: from the closed list of rejected reasons.
        detail: one sentence for the sender.
        id: the input's id, None where it has none that can be read, or several.
    """

    reason: str
    detail: str
    id: str | None
