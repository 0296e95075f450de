"""Scalars of the configuration: YAML 1.2 core values, and variables of the environment.

YAML 1.1 readers turn ``on`` and ``NO`` into booleans, ``012`` into 10 and ``12:30`` into 750; here
they stay the text that was written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

__all__ = ["SubstitutionError", "is_one_variable", "resolve", "substitute"]

_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS: Final = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
# Digits are bounded: longer ones are names rather than numbers, and int() refuses very long ones.
_INTEGER: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,39})")
_OTHER_BASE: Final = re.compile(r"0x[0-9a-fA-F]{1,16}|0o[0-7]{1,21}")
_FLOAT: Final = re.compile(
    r"[-+]?(?:\.[0-9]{1,40}|(?:0|[1-9][0-9]{0,39})(?:\.[0-9]{0,40})?)(?:[eE][-+]?[0-9]{1,4})?"
)
_NOT_FINITE: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")

_DOLLAR: Final = re.compile(r"\$\$|\$\{([^{}]*)(\}?)")
_VARIABLE: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]{0,127})(?::-(.*))?", re.DOTALL)


class SubstitutionError(ValueError):
    """A variable that can't be put in; ``code`` and ``help`` are the fault's."""

    def __init__(self, code: str, what: str, help: str) -> None:  # noqa: A002 - as in Fault
        super().__init__(what)
        self.code = code
        self.help = help


def resolve(text: str) -> str | int | float | bool | None:
    """The value of a plain (unquoted) scalar after YAML 1.2's core schema.

    Two deviations, both so that nothing is read other than it looks: digits after a leading zero
    stay text, and so do numbers of more than 40 digits.
    """
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    number = _number(text)
    return text if number is None else number


def _number(text: str) -> int | float | None:
    if _INTEGER.fullmatch(text):
        return int(text)
    if _OTHER_BASE.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    return float(text.replace(".", "")) if _NOT_FINITE.fullmatch(text) else None


def substitute(text: str, environ: Mapping[str, str]) -> str:
    """Puts variables in for ``${NAME}`` and ``${NAME:-default}``; ``$$`` is a literal ``$``.

    A default counts where the variable is not set or empty. Any other ``$`` stays.

    Raises:
        SubstitutionError: a variable is not set and has no default, or ``${`` is not closed.
    """
    return _DOLLAR.sub(lambda found: _value(found, environ), text)


def is_one_variable(text: str) -> bool:
    """Whether the text is one ``${…}`` and nothing else."""
    found = _DOLLAR.fullmatch(text)
    return found is not None and found[1] is not None


def _value(found: re.Match[str], environ: Mapping[str, str]) -> str:
    if found[1] is None:
        return "$"
    variable = _VARIABLE.fullmatch(found[1]) if found[2] else None
    if variable is None:
        raise SubstitutionError(
            "bad-variable",
            "this ${…} does not name a variable of the environment.",
            "Write ${NAME} or ${NAME:-default}, and $$ for a dollar sign.",
        )
    name, default = variable[1], variable[2]
    value = environ.get(name, "")
    if name in environ and (value or default is None):
        return value
    if default is None:
        raise SubstitutionError(
            "missing-variable",
            f"the environment has no variable {name}.",
            f"Set {name}, or give a default: ${{{name}:-default}}.",
        )
    return default
