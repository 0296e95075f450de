"""Files that the configuration names: there, readable, and of the right kind."""

from __future__ import annotations

import os
import ssl
import stat
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Final

__all__ = [
    "COMPILED_RASTER_SUFFIX",
    "COMPILED_SUFFIX",
    "LAYER_SUFFIXES",
    "RASTER_SUFFIXES",
    "FileProblem",
    "file_problem",
    "folder_problem",
    "has_layer_suffix",
    "is_module",
    "place_problem",
    "read_file",
    "read_secret",
    "tls_problem",
]

COMPILED_SUFFIX: Final = ".gwl"
_PLAIN_SUFFIXES: Final = (".geojson", ".json", ".geojsonl", ".geojsons", ".ndjson")
#: What needs the extra ``formats``; ``geoweir compile`` reads whatever else GDAL has a driver for.
_GDAL_SUFFIXES: Final = (".gpkg", ".fgb", ".shp", ".parquet", ".gml", ".kml", ".gpx", ".tab")
LAYER_SUFFIXES: Final = (
    COMPILED_SUFFIX,
    *_PLAIN_SUFFIXES,
    *(f"{suffix}.gz" for suffix in _PLAIN_SUFFIXES),
    *_GDAL_SUFFIXES,
)
COMPILED_RASTER_SUFFIX: Final = ".gwr"
RASTER_SUFFIXES: Final = (COMPILED_RASTER_SUFFIX, ".tif", ".tiff")
_LONGEST_SECRET: Final = 65_536  # bytes


@dataclass(frozen=True, slots=True)
class FileProblem:
    """Why a file can't be used; ``code`` is the fault's."""

    code: str
    message: str
    help: str


_MISSING: Final = FileProblem("missing-file", "there is no such file.", "Correct the path.")
_NO_FILE: Final = FileProblem("unreadable-file", "this is not a regular file.", "Name a file.")


def read_file(path: Path, most: int) -> bytes | FileProblem:
    """The first bytes of a file, at most ``most``, or why there are none.

    A pipe is refused, never waited for.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return _NO_FILE
        with path.open("rb") as stream:
            return stream.read(most)
    except (FileNotFoundError, NotADirectoryError):
        return _MISSING
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        why = getattr(error, "strerror", None) or "the path is malformed"
        message = f"the file can't be read: {why}."
        return FileProblem("unreadable-file", message, "Correct the path or the permissions.")


def file_problem(path: Path) -> FileProblem | None:
    """Why a file can't be read; None when it can."""
    found = read_file(path, 1)
    return found if isinstance(found, FileProblem) else None


def place_problem(path: Path) -> FileProblem | None:
    """Why a file can't be written at a path, be it there or not; None when it can."""
    if "\0" in str(path):  # which no file's name has, and pathlib is silent about
        return FileProblem("unreadable-file", "the path is malformed.", "Correct the path.")
    try:
        if path.exists() and not path.is_file():
            return _NO_FILE
        if not path.parent.is_dir():
            return FileProblem("missing-file", "its folder is not there.", "Make the folder.")
    except OSError as error:
        message = f"it can't be used: {error.strerror}."
        return FileProblem("unreadable-file", message, "Correct the path.")
    is_usable = os.access(path.parent, os.W_OK | os.X_OK) and (
        not path.exists() or os.access(path, os.R_OK | os.W_OK)
    )
    if is_usable:
        return None
    message = "it, or its folder, can't be written."
    return FileProblem("unreadable-file", message, "Correct the path or the permissions.")


def folder_problem(path: Path) -> FileProblem | None:
    """Why a folder can't be written or made at a path; None when it can."""
    if "\0" in str(path):
        return FileProblem("unreadable-file", "the path is malformed.", "Correct the path.")
    try:
        if path.exists() and not path.is_dir():
            return FileProblem("unreadable-file", "it is no folder.", "Name a folder.")
        there = path if path.exists() else path.parent
        if not there.is_dir():
            return FileProblem("missing-file", "its folder is not there.", "Make the folder.")
    except OSError as error:
        message = f"it can't be used: {error.strerror}."
        return FileProblem("unreadable-file", message, "Correct the path.")
    if os.access(there, os.R_OK | os.W_OK | os.X_OK):
        return None
    return FileProblem(
        "unreadable-file", "it can't be written.", "Correct the path or the permissions."
    )


def has_layer_suffix(path: str) -> bool:
    """Whether a path ends as the files that layers are read from."""
    return path.lower().endswith(LAYER_SUFFIXES)


def read_secret(path: Path) -> str | FileProblem:
    """The first line of a file, or why there is none; neither repeats what stands in it."""
    content = read_file(path, _LONGEST_SECRET)
    if isinstance(content, FileProblem):
        return content
    first = content.split(b"\n", 1)[0].rstrip(b"\r")
    try:
        secret = first.decode()
    except UnicodeDecodeError:
        return FileProblem("broken-file", "the file is not UTF-8 text.", "Write one line of text.")
    if not secret or "\0" in secret:
        return FileProblem("broken-file", "its first line is no secret.", "Write one line of text.")
    return secret


def tls_problem(ca: Path | None, cert: Path | None, key: Path | None) -> FileProblem | None:
    """Why readable certificate files don't make a TLS context; None when they do."""
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if ca is not None:
            context.load_verify_locations(cafile=ca)
        if cert is not None:
            # An empty passphrase: OpenSSL would ask for one at the terminal and wait.
            context.load_cert_chain(cert, key, password="")
    except (ssl.SSLError, OSError, ValueError):
        return FileProblem(
            "broken-file",
            "these are no certificates in PEM form with a key that fits and has no passphrase.",
            "Check ca, cert and key with openssl.",
        )
    return None


def is_module(name: str, folder: Path, search: list[str]) -> bool:
    """Whether a module could be imported, found without running any of it.

    Args:
        name: dotted.
        folder: the configuration's, looked at first.
        search: such as ``sys.path``.
    """
    places: list[str] | None = [str(folder), *search]
    spec: ModuleSpec | None = None
    parts = name.split(".")
    for count in range(1, len(parts) + 1):
        if places is None:
            return False
        try:
            spec = PathFinder.find_spec(".".join(parts[:count]), places)
        except (ImportError, OSError, ValueError):
            return False
        if spec is None:
            return False
        found = spec.submodule_search_locations
        places = None if found is None else list(found)
    return spec is not None and spec.origin is not None
