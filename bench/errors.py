"""What keeps a measurement from being made."""

from __future__ import annotations

__all__ = ["MissingError"]


class MissingError(Exception):
    """Something that the measurement needs is not here, or did not start; one clear line."""
