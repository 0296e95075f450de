"""Ordinates in payloads: numbers, or texts that are one."""

from __future__ import annotations

import re
from typing import Final

from geoweir.errors import SenderError

__all__ = ["number"]

_LONGEST_NUMBER: Final = 64
_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")


def number(value: object, where: str) -> float:
    """An ordinate: a number or a text that is one.

    Raises:
        SenderError: ``shape`` when there is none, ``geometry`` when it is something else.
    """
    if type(value) is float or type(value) is int:
        return value
    if value is None:
        raise SenderError("shape", f"There is no number at {where}.")
    if type(value) is str and len(value) <= _LONGEST_NUMBER and _DECIMAL.fullmatch(value):
        return float(value)
    raise SenderError("geometry", f"What stands at {where} is not a number.")
