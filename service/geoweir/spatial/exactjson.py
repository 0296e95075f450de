"""JSON that keeps every number: orjson reads integers beyond 64 bits as floats and writes none."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import orjson

__all__ = ["dumps", "loads"]

#: What may be an integer beyond 64 bits.
_LONG: Final = re.compile(rb"(?<![0-9.])[0-9]{19,}(?![0-9.eE])")


def loads(text: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """The value of a JSON text; NaN and Infinity are taken as numbers.

    Raises:
        ValueError: it is no JSON, or is nested deeper than can be read.
    """
    try:
        return orjson.loads(text) if _LONG.search(text) is None else json.loads(text)
    except orjson.JSONDecodeError:
        return _leniently(text)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def _leniently(text: bytes) -> Any:  # noqa: ANN401
    """What orjson refuses only for a number that isn't finite is read; the rest raises as it did."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def dumps(value: object) -> bytes:
    """The shortest JSON text of a value that came from JSON; what isn't finite becomes null."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":")).encode()
