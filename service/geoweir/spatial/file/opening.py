"""Opening a compiled file by its path, for people: what is wrong is one line that names it."""

from __future__ import annotations

from pathlib import Path

from geoweir.core.spec import ReferenceKind
from geoweir.errors import ConfigurationError
from geoweir.spatial.file.format import LayerFileError
from geoweir.spatial.file.mapped import MappedFile

__all__ = ["as_sentences", "open_file"]


def open_file(path: str | Path, kind: ReferenceKind | None = None) -> MappedFile:
    """The compiled file at a path.

    Args:
        path: where it is.
        kind: what it must hold; None for anything.

    Raises:
        ConfigurationError: there is none, or a damaged or foreign one; one line that names it.
    """
    try:
        file = MappedFile.open(path)
        _check(file, kind)
    except LayerFileError as error:
        raise ConfigurationError(
            f"{kind or 'compiled'} file {path}: {as_sentences(str(error))}"
        ) from error
    except OSError as error:
        why = error.strerror or error
        raise ConfigurationError(
            f"{kind or 'compiled'} file {path}: it can't be read ({why}). "
            "Correct the path or its permissions."
        ) from error
    return file


def _check(file: MappedFile, kind: ReferenceKind | None) -> None:
    if kind is not None and file.header.kind != kind:
        raise LayerFileError(f"it is a compiled {file.header.kind}, not a {kind}")
    if not isinstance(file.meta.get("crs"), str):
        raise LayerFileError("its description is damaged: compile it again")


def as_sentences(text: str) -> str:
    """What is wrong and what to do, which a colon parts, as one sentence each."""
    what, _, remedy = text.partition(": ")
    remedy = remedy or "give a file that geoweir compile has made"
    return f"{what}. {remedy[0].upper()}{remedy[1:]}."
