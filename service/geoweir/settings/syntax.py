"""YAML's syntax errors in plain sentences."""

from __future__ import annotations

import re
from typing import Final

import yaml
from yaml.reader import ReaderError

__all__ = ["syntax_problem"]

_QUOTES: Final = "Put the value in quotes."
_BRACES: Final = re.compile(r"\$\{|\{topic\[|\{id\}|\{stream\}")

#: What PyYAML's and libyaml's problems contain, and what they mean; the first that fits counts.
_MEANINGS: Final = (
    ("mapping values are not allowed", "a value holds a second colon.",
     "Put the value in quotes, or correct the indentation."),
    ("unexpected end of stream", "a quotation mark is not closed.", "Close it."),
    ("escape", "the text in double quotes has an unknown escape sequence.",
     "Write \\\\ for a backslash, or use single quotes."),
    ("hexdecimal", "the text in double quotes has an unknown escape sequence.",
     "Write \\\\ for a backslash, or use single quotes."),
    ("',' or", "a bracket or brace is not closed.",
     "Close it, and put quotes around values that hold brackets or braces."),
    ("node content", "a bracket or brace is not closed.", "Close it."),
    ("expected ':'", "a line is neither a setting (name: value) nor part of the one above.",
     "Write name: value."),
    ("'-' indicator", "the indentation does not fit the lines above.", "Align it with them."),
    ("expected key", "the indentation does not fit the lines above.", "Align it with them."),
    ("block end", "the indentation does not fit the lines above.", "Align it with them."),
    ("incompatible YAML", "this version of YAML is not known.", "Remove the %YAML line."),
)  # fmt: skip


def syntax_problem(error: Exception, text: str) -> tuple[int, int, str, str]:
    """Line and column (from 1), what is wrong, and what to do, without a value of the file."""
    line, column, problem = _place(error, text)
    lines = text.split("\n")
    shown = lines[line - 1] if line <= len(lines) else ""
    message, remedy = _meaning(problem, shown[column - 1 : column])
    if _BRACES.search(shown):
        remedy = f"{_QUOTES[:-1]}: it holds braces."
    return line, column, message, remedy


def _place(error: Exception, text: str) -> tuple[int, int, str]:
    if isinstance(error, ReaderError):
        # The position counts bytes or characters; the first such character is the one meant.
        found = re.search(
            "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", text
        )
        before = text[: found.start() if found else 0].split("\n")
        return len(before), len(before[-1]) + 1, "control character"
    if not isinstance(error, yaml.MarkedYAMLError):
        return 1, 1, "escape"
    mark = error.problem_mark or error.context_mark
    if error.context_mark and (mark is None or not _rest(text, mark.line)):
        mark = error.context_mark  # at the end of the file nobody would find it
    line, column = (mark.line, mark.column) if mark else (0, 0)
    return line + 1, column + 1, error.problem or ""


def _rest(text: str, line: int) -> str:
    """What stands in the file from a line (from 0) on, but for blanks."""
    return "".join(text.split("\n")[line:]).strip()


def _meaning(problem: str, character: str) -> tuple[str, str]:
    if problem == "control character":
        return "a control character stands here.", "Remove it."
    if "cannot start any token" in problem:
        if character == "\t":
            return "a tab stands where YAML wants spaces.", "Indent with spaces."
        return "a value cannot begin with this character.", _QUOTES
    for part, message, remedy in _MEANINGS:
        if part in problem:
            return message, remedy
    return "this is not valid YAML.", "Correct the line, or the one above."
