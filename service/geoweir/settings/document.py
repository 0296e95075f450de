"""The configuration as text: YAML read into plain values that know where they stand.

PyYAML only gives its events here. What they become is ours, because its own loaders take the last
of two equal keys in silence, read YAML 1.1 scalars, forget lines and follow aliases.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from geoweir.settings.excerpt import Excerpts
from geoweir.settings.faults import MOST_FAULTS, Fault, KeyPath, Severity, path_text, printable
from geoweir.settings.scalars import SubstitutionError, is_one_variable, resolve, substitute
from geoweir.settings.syntax import syntax_problem

__all__ = ["MAX_BYTES", "MAX_DEPTH", "Document", "Mark", "parse"]

MAX_BYTES: Final = 1_000_000
MAX_DEPTH: Final = 32  # collections within each other

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_LONGEST_QUOTE: Final = 60  # characters of a value in a message
#: Not libyaml: what it refuses, and where, differs from version to version.
_LOADER: Final = yaml.SafeLoader


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in the file; line and column from 1."""

    line: int = 1
    column: int = 1
    width: int = 1


@dataclass(slots=True)
class Document:
    """A configuration file that has been read.

    Attributes:
        file: its name in faults.
        data: the root mapping; keys are text, values plain.
        marks: where each key, or item of a list, stands.
        written: text scalars as they stand in the file, by path: before variables were put in.
        faults: what is wrong with the text itself.
        broken: paths whose values could not be read; nothing more is said about them.
    """

    file: str
    excerpts: Excerpts
    data: dict[str, object] = field(default_factory=dict)
    marks: dict[KeyPath, Mark] = field(default_factory=dict)
    written: dict[KeyPath, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    broken: set[KeyPath] = field(default_factory=set)

    def mark(self, path: KeyPath) -> Mark:
        """Where a setting stands, or the innermost section around it that is in the file."""
        while path not in self.marks and path:
            path = path[:-1]
        return self.marks.get(path, Mark())

    def quoted(self, path: KeyPath) -> str:
        """A text value in quotes for a message: as written, so without values of variables."""
        return f'"{printable(self.written.get(path, ""), _LONGEST_QUOTE)}"'

    def fault(
        self,
        path: KeyPath,
        code: str,
        message: str,
        help: str,  # noqa: A002 - the word that faults use
        severity: Severity = "error",
    ) -> Fault:
        """A fault of the setting at ``path``."""
        return self.fault_at(self.mark(path), path, code, (message, help), severity)

    def fault_at(
        self,
        mark: Mark,
        path: KeyPath,
        code: str,
        sentences: tuple[str, str],
        severity: Severity = "error",
    ) -> Fault:
        """A fault at a place of the file; ``sentences`` say what is wrong and what to do."""
        source, caret = self.excerpts.line(mark.line, mark.column)
        return Fault(
            file=self.file,
            line=mark.line,
            column=mark.column,
            path=path_text(path),
            code=code,
            severity=severity,
            message=sentences[0],
            help=sentences[1],
            source=source,
            caret=caret,
            width=mark.width,
        )

    def is_broken(self, path: KeyPath) -> bool:
        """Whether the value, or a section around it, could not be read."""
        return any(path[:length] in self.broken for length in range(len(path) + 1))


def parse(content: bytes, file: str, environ: Mapping[str, str]) -> Document:
    """Reads YAML; every fault of the text is in ``faults``, and what could be read in ``data``.

    Args:
        content: the file.
        file: its name in faults.
        environ: where ``${NAME}`` is looked up.
    """
    document = Document(file, Excerpts(""))
    if len(content) > MAX_BYTES:
        _refuse(
            document, "too-big", f"the file holds more than {MAX_BYTES:,} bytes.", "Shorten it."
        )
        return document
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        lines = content[: error.start].decode("utf-8-sig").split("\n")
        mark = Mark(len(lines), len(lines[-1]) + 1)
        sentences = ("the file is not UTF-8 text here.", "Save it as UTF-8.")
        document.faults.append(document.fault_at(mark, (), "not-utf8", sentences))
        document.broken.add(())
        return document
    document.excerpts = Excerpts(text)
    _Composer(document, environ).read(text)
    return document


def _refuse(document: Document, code: str, message: str, remedy: str) -> None:
    document.faults.append(document.fault((), code, message, remedy))
    document.broken.add(())


class _TooDeepError(Exception):
    """More collections within each other than MAX_DEPTH."""


class _Composer:
    """Makes plain values of parser events, and notes where they stand."""

    def __init__(self, document: Document, environ: Mapping[str, str]) -> None:
        self._document = document
        self._environ = environ
        self._events: Iterator[Any] = iter(())
        self._muted = 0  # within the second of two equal keys

    def read(self, text: str) -> None:
        document = self._document
        try:
            self._events = yaml.parse(text, Loader=_LOADER)
            self._document_root()
        except (yaml.YAMLError, ValueError) as error:  # chr() in PyYAML raises ValueError
            line, column, message, remedy = syntax_problem(error, text)
            sentences = (message, remedy)
            document.faults.append(
                document.fault_at(Mark(line, column), (), "yaml-syntax", sentences)
            )
            document.broken.add(())
        except _TooDeepError:
            document.broken.add(())

    def _document_root(self) -> None:
        document = self._document
        next(self._events)  # the stream's start
        if not isinstance(next(self._events), yaml.DocumentStartEvent):
            _refuse(document, "empty-file", "the file holds no settings.", "Write a configuration.")
            return
        event = next(self._events)
        data = self._node(event, ())
        next(self._events)  # the document's end
        following = next(self._events)
        if isinstance(following, yaml.DocumentStartEvent):
            message = "a second YAML document begins here."
            remedy = "Keep one in the file."
            self._complain(following, (), "second-document", message, remedy, breaks=False)
        if isinstance(data, dict):
            document.data = data
        elif () not in document.broken:
            message = "the file is not a mapping of settings."
            self._complain(event, (), "not-a-mapping", message, "Begin with a line such as mqtt:.")

    def _complain(
        self,
        event: Any,  # noqa: ANN401 - PyYAML's events share no typed base with marks
        path: KeyPath,
        code: str,
        message: str,
        remedy: str,
        *,
        breaks: bool = True,
    ) -> None:
        """A fault at an event; where it breaks its value, nothing more is said about the path."""
        if self._muted:
            return
        if len(self._document.faults) <= MOST_FAULTS:
            mark = _mark_of(event)
            fault = self._document.fault_at(mark, path, code, (message, remedy))
            self._document.faults.append(fault)
        if breaks:
            self._document.broken.add(path)

    def _node(self, event: Any, path: KeyPath) -> object:  # noqa: ANN401 - see _complain
        if getattr(event, "anchor", None) is not None:
            message = "anchors and aliases (& and *) are not allowed."
            remedy = "Write the value out, or put quotes around a text that begins so."
            self._complain(event, path, "alias", message, remedy)
        if isinstance(event, yaml.AliasEvent):
            return None
        if event.tag is not None and event.tag != "!":
            message = "tags (a word that begins with !) are not allowed."
            remedy = "Leave the tag out, or put quotes around a text that begins so."
            self._complain(event, path, "tag", message, remedy)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, path)
        if len(path) >= MAX_DEPTH:
            message = f"more than {MAX_DEPTH} settings stand within each other."
            self._complain(event, path, "too-deep", message, "Correct the brackets.")
            raise _TooDeepError
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(path)
        return self._mapping(path)

    def _sequence(self, path: KeyPath) -> list[object]:
        values: list[object] = []
        for event in self._events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            inner = (*path, len(values))
            self._note(event, inner)
            values.append(self._node(event, inner))
        return values

    def _mapping(self, path: KeyPath) -> dict[str, object]:
        values: dict[str, object] = {}
        for event in self._events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            self._entry(event, path, values)
        return values

    def _entry(self, event: Any, path: KeyPath, values: dict[str, object]) -> None:  # noqa: ANN401
        if not isinstance(event, yaml.ScalarEvent) or _SURROGATE.search(event.value):
            message = "a key must be plain text."
            remedy = "Write name: value."
            self._complain(event, path, "key-not-text", message, remedy, breaks=False)
            self._skip(event, path)
            return
        inner = (*path, event.value)
        is_new = event.value not in values
        if is_new:
            self._note(event, inner)
            if event.anchor is not None:
                self._complain(event, inner, "alias", "anchors (&) are not allowed.", "Remove it.")
            values[event.value] = self._node(next(self._events), inner)
            return
        first = self._document.mark(inner).line
        message = f"this key stands here a second time; the first is in line {first}."
        self._complain(event, inner, "repeated-key", message, "Keep one of the two.", breaks=False)
        self._muted += 1
        self._node(next(self._events), inner)
        self._muted -= 1

    def _skip(self, key: Any, path: KeyPath) -> None:  # noqa: ANN401 - see _complain
        """Reads over an entry whose key is no text."""
        self._muted += 1
        self._node(key, (*path, ""))
        self._node(next(self._events), (*path, ""))
        self._muted -= 1

    def _note(self, event: Any, path: KeyPath) -> None:  # noqa: ANN401 - see _complain
        if not self._muted:
            self._document.marks[path] = _mark_of(event)

    def _scalar(self, event: Any, path: KeyPath) -> object:  # noqa: ANN401 - see _complain
        written: str = event.value
        is_plain: bool = event.implicit[0] and event.style in (None, "")
        self._document.excerpts.hide(path, event.start_mark, event.end_mark)
        value = written
        if not self._muted:
            self._document.written[path] = written
            try:
                value = substitute(written, self._environ)
            except SubstitutionError as error:
                self._complain(event, path, error.code, str(error), error.help)
        if _SURROGATE.search(value):
            message = "this value is no valid Unicode text."
            self._complain(event, path, "not-text", message, "Correct it, or its variable.")
        if is_plain and (value == written or is_one_variable(written)):
            return resolve(value)
        return value


def _mark_of(event: Any) -> Mark:  # noqa: ANN401 - see _complain
    start, end = event.start_mark, event.end_mark
    width = end.column - start.column if end.line == start.line else 1
    return Mark(start.line + 1, start.column + 1, max(width, 1))
