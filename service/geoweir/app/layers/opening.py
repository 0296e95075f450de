"""Opening a compiled file: once, in the service, for all workers; blocks, so call it in a thread.

The first page and the description are read here, which needs no geometry. What they can't show, a
worker sees when it takes the file up.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from geoweir.core.spec import ReferenceKind
from geoweir.spatial.file.format import SHORT, Header, LayerFileError, read_header, verify

__all__ = ["Opened", "Stamp", "check_fit", "open_descriptor", "open_path", "stamp_of"]

#: Files up to this size are read as a whole before they replace another. Larger ones would push
#: the layer in use out of the memory of a small gateway; a wrong section then gives wrong answers.
VERIFIED_BYTES: Final = 256_000_000
_META: Final = "meta"
_META_BYTES: Final = 16_000_000

#: What tells that a file was replaced or written to: device, inode, nanoseconds, bytes.
Stamp = tuple[int, int, int, int]


class _LayerMeta(msgspec.Struct):
    crs: str
    features: int
    fields: list[str] | None = None


class _RasterMeta(msgspec.Struct):
    crs: str
    width: int
    height: int
    bands: list[Any]


_Said = TypeVar("_Said", _LayerMeta, _RasterMeta)


@dataclass(frozen=True, slots=True)
class Opened:
    """An open file, checked.

    Attributes:
        descriptor: of the file.
        version: of the content, as results name it.
        crs: what it is in.
        size: what it says of its size: features, or width, height and bands.
        stamp: of the file.
        fields: of a layer; None where the file doesn't say.
    """

    descriptor: int
    version: str
    crs: str
    size: Mapping[str, int]
    stamp: Stamp
    fields: frozenset[str] | None = None


def stamp_of(path: str | Path | int) -> Stamp | None:
    """The stamp of a file; None where there is none to be read."""
    try:
        found = os.stat(path)  # noqa: PTH116 - of a descriptor, too
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size


def open_path(path: str | Path, kind: ReferenceKind, *, whole: bool) -> Opened:
    """Opens a file; with ``whole``, all its content is compared with its digests.

    Raises:
        LayerFileError: it is none that a layer or raster can be; why, and what to do.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise LayerFileError(f"it can't be opened ({error.strerror})") from error
    return open_descriptor(descriptor, kind, whole=whole)


def open_descriptor(descriptor: int, kind: ReferenceKind, *, whole: bool = False) -> Opened:
    """Checks an open file, which is closed where it is none: see ``open_path``."""
    try:
        header = read_header(descriptor)
        _check_kind(header, kind)
        if whole and header.size <= VERIFIED_BYTES:
            _verify(descriptor, header)
        return _described(descriptor, header)
    except BaseException:
        os.close(descriptor)
        raise


def _described(descriptor: int, header: Header) -> Opened:
    version, stamp = header.version[:SHORT], stamp_of(descriptor) or (0, 0, 0, 0)
    if header.kind == "raster":
        raster = _meta(descriptor, header, _RasterMeta)
        size = {"width": raster.width, "height": raster.height, "bands": len(raster.bands)}
        return Opened(descriptor, version, raster.crs, size, stamp)
    layer = _meta(descriptor, header, _LayerMeta)
    fields = None if layer.fields is None else frozenset(layer.fields)
    return Opened(descriptor, version, layer.crs, {"features": layer.features}, stamp, fields)


def check_fit(opened: Opened, crs: str | None, needed: Iterable[str]) -> None:
    """Whether steps can use the file instead of the one before.

    Args:
        opened: the file.
        crs: of the one before; None where there is none.
        needed: the fields that steps attach.

    Raises:
        LayerFileError: they can't.
    """
    if crs is not None and opened.crs != crs:
        raise LayerFileError(f"its CRS is {opened.crs}, and was {crs}: restart to change")
    missing = sorted(set(needed) - (opened.fields or set()) - {"id"})
    if opened.fields is not None and opened.size["features"] and missing:
        raise LayerFileError(f"no feature has {', '.join(missing)}, which a step attaches")


def _check_kind(header: Header, kind: ReferenceKind) -> None:
    if header.kind != kind:
        raise LayerFileError(f"it holds a {header.kind}, not a {kind}")


def _verify(descriptor: int, header: Header) -> None:
    try:
        damaged = verify(descriptor, header)
    except OSError as error:
        raise LayerFileError(f"it can't be read ({error.strerror})") from error
    if damaged is not None:
        raise LayerFileError(f"its section {damaged} is damaged: compile or copy it again")


def _meta(descriptor: int, header: Header, wanted: type[_Said]) -> _Said:
    section = header.sections.get(_META)
    if section is None or section.size > _META_BYTES:
        raise LayerFileError("it has no description: compile it again")
    try:
        return msgspec.json.decode(os.pread(descriptor, section.size, section.offset), type=wanted)
    except (OSError, msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise LayerFileError("its description is damaged: compile it again") from error
