"""Plain sources of layers and rasters, compiled once: a folder of files named after their source.

The name is a digest of the source's bytes, of how it is compiled, and of the formats: an equal name
means an equal file, so that two processes which compile the same at once do no harm.
"""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from pathlib import Path
from typing import Final

from geoweir.core.spec import ReferenceKind
from geoweir.errors import ConfigurationError
from geoweir.spatial.file.format import FORMAT, LayerFileError, read_header
from geoweir.spatial.sources.batch import fault

__all__ = ["CACHE_VARIABLE", "COMPILED", "cache_folder", "cached"]

COMPILED: Final[dict[ReferenceKind, str]] = {"layer": ".gwl", "raster": ".gwr"}

CACHE_VARIABLE: Final = "GEOWEIR_CACHE"
_FOLDER: Final = "geoweir-layers"
_MOST_BYTES: Final = 2_000_000_000
_SURELY_UNUSED_S: Final = 600.0
_READ: Final = 1 << 20


def cached(
    kind: ReferenceKind,
    source: Path,
    how: Hashable,
    make: Callable[[Path], object],
    *,
    files: Sequence[Path] | None = None,
    beside: Path | None = None,
) -> Path:
    """The compiled form of a source, made now unless it is there.

    Args:
        kind: of what is compiled.
        source: where it is.
        how: all that decides what is made of it, with a plain ``repr``.
        make: writes the file at a path.
        files: what the source consists of, where that isn't one file.
        beside: a folder of the service's own to keep the cache in.

    Raises:
        ConfigurationError: the source can't be read, or there is no room; one line.
    """
    key = _key(source, [source] if files is None else files, (kind, FORMAT, how))
    folder = cache_folder(beside)
    target = folder / f"{key}{COMPILED[kind]}"
    if _is_whole(target):
        os.utime(target)  # it is in use: see _drop_old
        return target
    try:
        make(target)
    except OSError as error:
        raise _no_room(kind, source, folder, error) from error
    _drop_old(folder, keep=target)
    return target


def cache_folder(beside: Path | None = None) -> Path:
    """The first folder that can be written to, made if need be: see ``docs/spatial-compile.md``.

    Raises:
        ConfigurationError: there is none.
    """
    for parent in _parents(beside):
        folder = parent / _FOLDER
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            # In a folder for everybody somebody else could have put layers of his own.
            if folder.lstat().st_uid == os.geteuid() and os.access(folder, os.W_OK):
                return folder
        except OSError:
            continue
    raise ConfigurationError(
        "there is no folder for compiled layers and rasters. "
        f"Set {CACHE_VARIABLE} to one, or compile them beforehand with geoweir compile."
    )


def _parents(beside: Path | None) -> Iterator[Path]:
    given = os.environ.get(CACHE_VARIABLE)
    if given:
        yield Path(given)
        return
    if beside is not None:
        yield beside
    home = os.environ.get("XDG_CACHE_HOME")
    yield Path(home) if home else Path("~/.cache").expanduser()
    yield Path(tempfile.gettempdir()) / f"geoweir-{os.geteuid()}"


def _key(source: Path, files: Sequence[Path], how: Hashable) -> str:
    digest = hashlib.blake2b(repr((how, source.suffixes)).encode(), digest_size=20)
    try:
        for path in files:
            digest.update(path.name.removeprefix(source.stem).encode())
            with path.open("rb") as stream:
                while block := stream.read(_READ):
                    digest.update(block)
    except FileNotFoundError as error:
        raise fault(source, "there is no such file", "Correct the path") from error
    except OSError as error:
        why = f"it can't be read ({error.strerror or error})"
        raise fault(source, why, "Correct the path or the file's permissions") from error
    return digest.hexdigest()


def _is_whole(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        read_header(descriptor)
    except LayerFileError:
        return False
    finally:
        os.close(descriptor)
    return True


def _drop_old(folder: Path, keep: Path) -> None:
    """Removes what was longest unused, until the rest is small enough."""
    entries = []
    for path in (one for suffix in COMPILED.values() for one in folder.glob(f"*{suffix}")):
        try:
            about = path.stat()
        except OSError:  # somebody else removed it
            continue
        entries.append((about.st_mtime, about.st_size, path))
    total = sum(size for _, size, _ in entries)
    for used, size, path in sorted(entries):
        is_recent = time.time() - used < _SURELY_UNUSED_S
        if total <= _MOST_BYTES or is_recent or path == keep:
            break
        path.unlink(missing_ok=True)
        total -= size


def _no_room(kind: ReferenceKind, source: Path, folder: Path, error: OSError) -> ConfigurationError:
    why = error.strerror or str(error)
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        why = f"there is no room in {folder}"
    return ConfigurationError(
        f"{kind} file {source}: it can't be compiled ({why}). Compile it beforehand with geoweir "
        f"compile and give the {COMPILED[kind]} file as the path, or set {CACHE_VARIABLE} to a "
        "larger folder."
    )
