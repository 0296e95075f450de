"""Copies of JSON values, made faster than by ``copy.deepcopy`` as they hold no cycles."""

from __future__ import annotations

from typing import Any

__all__ = ["copied"]


def copied(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """A JSON value that shares no dict or list with the original.

    Raises:
        RecursionError: nested deeper than the interpreter goes (about 900 levels).
    """
    if isinstance(value, dict):
        return {name: copied(item) for name, item in value.items()}
    if isinstance(value, list):
        return [copied(item) for item in value]
    return value
