"""The way from a file to settings: ``check`` and ``run`` both take it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from geoweir.settings.assemble import assemble
from geoweir.settings.document import MAX_BYTES, Document, parse
from geoweir.settings.explain import explain
from geoweir.settings.faults import Fault, in_order
from geoweir.settings.files import FileProblem, read_file
from geoweir.settings.models.root import validate
from geoweir.settings.rules import check_data, check_values
from geoweir.settings.unbuilt import unbuilt
from geoweir.settings.values import Settings

__all__ = ["Loaded", "load"]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a file gives: settings unless there is an error, and every fault by line.

    The document is there where the file could be read: it knows the places of later faults.
    """

    settings: Settings | None
    faults: list[Fault] = field(default_factory=list)
    document: Document | None = None


def load(path: Path, environ: Mapping[str, str]) -> Loaded:
    """Reads and checks a configuration; nothing is started and nothing is raised.

    Args:
        path: the YAML file; paths in it are relative to its folder.
        environ: where ``${NAME}`` and the broker's user and password are looked up.
    """
    content = read_file(path, MAX_BYTES + 1)
    if isinstance(content, FileProblem):
        return Loaded(None, [_unread(path, content)])
    document = parse(content, str(path), environ)
    faults = list(document.faults)
    settings = None
    if not document.is_broken(()):
        config, problems = validate(document.data)
        folder = path.absolute().parent
        faults += explain(document, problems)
        faults += unbuilt(document)
        faults += check_data(document, folder)
        if config is not None:
            faults += check_values(document, config)
        if config is not None and not _have_errors(faults):
            settings = assemble(config, path.absolute(), environ)
    return Loaded(settings, in_order(faults), document)


def _have_errors(faults: list[Fault]) -> bool:
    return any(fault.severity == "error" for fault in faults)


def _unread(path: Path, problem: FileProblem) -> Fault:
    return Fault(
        file=str(path),
        line=1,
        column=1,
        path="",
        code=problem.code,
        message=problem.message,
        help=problem.help,
    )
