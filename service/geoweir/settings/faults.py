"""What is wrong with a configuration: one fault each, in a form for a line, a terminal or JSON.

A fault is complete on one line, so that grep, editors and journald can use it. It is a statement,
never a question, and never holds a secret.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Literal

__all__ = ["MOST_FAULTS", "Fault", "KeyPath", "Severity", "in_order", "path_text", "printable"]

Severity = Literal["error", "warning"]
#: Keys and list indices from the root of the document inwards.
KeyPath = tuple[str | int, ...]

#: More than this are cut off and counted: a megabyte of nonsense stays readable.
MOST_FAULTS: Final = 200
_LONGEST_KEY: Final = 80  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault of a configuration.

    Attributes:
        file: the configuration's file, as the user named it.
        line: from 1.
        column: from 1, in characters.
        path: the setting, such as ``streams.vessels.steps[2].join.layer``; empty for the file.
        code: what kind of fault, in words (``unknown-key``).
        severity: an error keeps the service from starting, a warning doesn't.
        message: what is wrong, a sentence.
        help: what to do, a sentence or more.
        source: the line of the file, secrets masked; empty where there is none.
        caret: where in ``source`` the fault is, from 0.
        width: how many characters of ``source`` are meant.
    """

    file: str
    line: int
    column: int
    path: str
    code: str
    severity: Severity = "error"
    message: str
    help: str
    source: str = ""
    caret: int = 0
    width: int = 1

    def line_form(self) -> str:
        """``FILE:LINE:COL PATH: what. What to do. [code]``, with ``warning:`` where it is one."""
        place = f"{self.file}:{self.line}:{self.column}"
        name = f" {self.path}:" if self.path else ":"
        kind = " warning:" if self.severity == "warning" else ""
        return f"{place}{name}{kind} {self.message} {self.help} [{self.code}]"

    def source_form(self) -> str:
        """The line of the file with a caret below; empty where there is no line to show."""
        if not self.source:
            return ""
        indent = "".join("\t" if c == "\t" else " " for c in self.source[: self.caret])
        width = max(1, min(self.width, len(self.source) - self.caret))
        return f"{self.line:5} | {self.source}\n      | {indent}{'^' * width}"

    def json_form(self) -> dict[str, str | int]:
        """The fault as a JSON object."""
        return {
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "path": self.path,
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "help": self.help,
        }


def in_order(faults: Iterable[Fault]) -> list[Fault]:
    """Faults by line, each once, and at most MOST_FAULTS of them with errors kept first."""
    found = sorted(set(faults), key=_place)
    if len(found) <= MOST_FAULTS:
        return found
    kept = sorted(found, key=lambda fault: fault.severity)[: MOST_FAULTS - 1]
    rest = replace(
        kept[-1],
        path="",
        code="too-many-faults",
        message=f"{len(found) - len(kept)} more faults are not listed.",
        help="Correct these first.",
        source="",
    )
    return [*sorted(kept, key=_place), rest]


def _place(fault: Fault) -> tuple[int, int, str, str]:
    return fault.line, fault.column, fault.path, fault.code


def path_text(path: KeyPath) -> str:
    """A path as people write it: ``streams.vessels.steps[2].join``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{printable(part)}" if text else printable(part)
    return text


def printable(text: str, longest: int = _LONGEST_KEY) -> str:
    """The text without anything that a terminal would act on, and cut."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:longest])
    return shown if len(text) <= longest else f"{shown}…"
