"""Plain sources of layers, compiled once: a folder of layer files named after what they came from.

The name is a digest of the source's bytes, of how it is compiled, and of the formats: an equal name
means an equal file, so that two processes which compile the same at once do no harm.
"""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from geoweir.core.spec import LayerSpec
from geoweir.errors import ConfigurationError
from geoweir.spatial.compiling.compile import (
    Options,
    Progress,
    Report,
    compile_layer,
)
from geoweir.spatial.file.format import FORMAT, LayerFileError, read_header
from geoweir.spatial.kernel.loaded import has_kernel
from geoweir.spatial.sources.batch import fault

__all__ = ["CACHE_VARIABLE", "cache_folder", "compiled", "options_of"]

CACHE_VARIABLE: Final = "GEOWEIR_CACHE"
_FOLDER: Final = "geoweir-layers"
#: Goes up when equal sources shall be compiled anew: the content of the file has changed.
_EDITION: Final = 2
_MOST_BYTES: Final = 2_000_000_000
_SURELY_UNUSED_S: Final = 600.0
_READ: Final = 1 << 20


def compiled(
    spec: LayerSpec,
    *,
    beside: Path | None = None,
    report: Report = lambda *_: None,
    progress: Progress = lambda *_: None,
) -> Path:
    """The layer file of a layer: the file that it names, or its source's in the cache.

    Args:
        spec: the layer.
        beside: a folder of the service's own to keep the cache in.
        report: as in ``compile_layer``; called only where there is something to compile.
        progress: likewise.

    Raises:
        ConfigurationError: the source is damaged, or there is no room; one line.
    """
    source = Path(spec.path)
    if spec.path.lower().endswith(".gwl"):
        return source
    key = _key(source, spec)
    folder = cache_folder(beside)
    target = folder / f"{key}.gwl"
    if _is_whole(target):
        os.utime(target)  # it is in use: see _drop_old
        return target
    try:
        compile_layer(spec.path, target, options_of(spec), report=report, progress=progress)
    except OSError as error:
        raise _no_room(source, folder, error) from error
    _drop_old(folder, keep=target)
    return target


def options_of(spec: LayerSpec) -> Options:
    """How a layer of the configuration is compiled.

    Coordinates of a source that doesn't name its CRS are taken to be in the layer's.
    """
    assumed = Options().assumed_crs if spec.crs is None else spec.crs
    return Options(crs=spec.crs, assumed_crs=assumed, id_field=spec.id, keep=spec.keep)


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
        "there is no folder for compiled layers. "
        f"Set {CACHE_VARIABLE} to one, or compile the layers beforehand with geoweir compile."
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


def _key(source: Path, spec: LayerSpec) -> str:
    how = (_EDITION, FORMAT, has_kernel(), source.suffixes, spec.crs, spec.id, spec.keep)
    digest = hashlib.blake2b(repr(how).encode(), digest_size=20)
    try:
        for path in _files(source):
            digest.update(path.name.removeprefix(source.stem).encode())
            with path.open("rb") as stream:
                while block := stream.read(_READ):
                    digest.update(block)
    except FileNotFoundError as error:
        raise fault(source, "there is no such file", "Correct the layer's path") from error
    except OSError as error:
        why = f"it can't be read ({error.strerror or error})"
        raise fault(source, why, "Correct the path or the file's permissions") from error
    return digest.hexdigest()


def _files(source: Path) -> list[Path]:
    """What a source consists of: a file, a folder's, or a Shapefile with what belongs to it."""
    if source.is_dir():
        return sorted(path for path in source.rglob("*") if path.is_file())
    if source.suffix.lower() == ".shp":
        return sorted(path for path in source.parent.glob(f"{source.stem}.*") if path.is_file())
    return [source]


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
    for path in folder.glob("*.gwl"):
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


def _no_room(source: Path, folder: Path, error: OSError) -> ConfigurationError:
    why = error.strerror or str(error)
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        why = f"there is no room in {folder}"
    return ConfigurationError(
        f"layer file {source}: it can't be compiled ({why}). Compile it beforehand with geoweir "
        f"compile and give the .gwl file as the path, or set {CACHE_VARIABLE} to a larger folder."
    )
