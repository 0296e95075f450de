"""The file that layers and rasters are compiled into: named arrays behind one checked page.

    page 0     header (128 bytes), then one entry of 64 bytes per section; the rest is zero
    page 1 …   the sections, each from a multiple of 4,096 bytes, little-endian, in table order

The header says what the file is, how long it is and which content it holds; a BLAKE2b digest over
header and table guards both, so that opening costs one page however large the file is. Each entry
holds its section's own digest, which ``verify`` compares: a flipped bit in a section is found by
that and by nothing else, so whoever reads a section checks every index that it takes from it.

This module needs neither numpy nor a map: the service opens files with it and holds no geometry.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from geoweir.errors import GeoweirError

__all__ = [
    "DTYPES",
    "FORMAT",
    "KINDS",
    "MAX_SECTIONS",
    "PAGE",
    "SHORT",
    "Header",
    "LayerFileError",
    "Section",
    "pack_page",
    "padded",
    "read_header",
    "section_digest",
    "verify",
    "version_of",
]

PAGE: Final = 4096
#: Like PNG's: a file that went through a text conversion or a 7-bit channel no longer begins so.
MAGIC: Final = b"\x89GWL\r\n\x1a\n"
FORMAT: Final = 1
KINDS: Final = ("layer", "raster")
#: What a section may hold: numpy's names, and the bytes of one value.
DTYPES: Final = {
    "u1": 1,
    "i1": 1,
    "<u2": 2,
    "<i2": 2,
    "<u4": 4,
    "<i4": 4,
    "<u8": 8,
    "<i8": 8,
    "<f4": 4,
    "<f8": 8,
}

# magic, format, sections, kind, file bytes, content digest (version), digest of header and table
_HEADER: Final = struct.Struct("<8sII16sQ32s32s24x")
_ENTRY: Final = struct.Struct("<24s4sIQQ16s")  # name, dtype, columns, offset, bytes, digest
_TABLE_DIGEST: Final = slice(72, 104)
#: So many digits of a version name it in results, metrics and messages.
SHORT: Final = 12
MAX_SECTIONS: Final = (PAGE - _HEADER.size) // _ENTRY.size
_READ: Final = 1 << 20


class LayerFileError(GeoweirError):
    """A file is no layer file, or not a whole one, or one of another version."""


@dataclass(frozen=True, slots=True)
class Section:
    """One array: ``size`` bytes from ``offset``, rows of ``columns`` values of ``dtype``."""

    name: str
    dtype: str
    columns: int
    offset: int
    size: int
    digest: bytes

    @property
    def rows(self) -> int:
        """How many rows it holds."""
        return self.size // (self.columns * DTYPES[self.dtype])


@dataclass(frozen=True, slots=True)
class Header:
    """What the first page says.

    Attributes:
        kind: ``layer`` or ``raster``.
        size: bytes of the whole file.
        version: the content's digest as 64 hexadecimal digits: equal content, equal version.
        sections: by name, in the order of the file.
    """

    kind: str
    size: int
    version: str
    sections: dict[str, Section]


def padded(size: int) -> int:
    """The next multiple of a page."""
    return -(-size // PAGE) * PAGE


def section_digest() -> hashlib.blake2b:
    """What digests a section's bytes."""
    return hashlib.blake2b(digest_size=16)


def version_of(kind: str, sections: Iterator[Section] | list[Section]) -> bytes:
    """The digest of a content: of names, shapes and the sections' digests."""
    digest = hashlib.blake2b(kind.encode(), digest_size=32)
    for one in sections:
        digest.update(_ENTRY.pack(*_texts(one), one.columns, 0, one.size, one.digest))
    return digest.digest()


def pack_page(kind: str, size: int, sections: list[Section]) -> bytes:
    """The first page of a file."""
    version = version_of(kind, sections)
    head = _HEADER.pack(MAGIC, FORMAT, len(sections), kind.encode(), size, version, bytes(32))
    table = b"".join(
        _ENTRY.pack(*_texts(one), one.columns, one.offset, one.size, one.digest) for one in sections
    )
    page = bytearray((head + table).ljust(PAGE, b"\0"))
    page[_TABLE_DIGEST] = _page_digest(page)
    return bytes(page)


def read_header(descriptor: int) -> Header:
    """Reads and checks the first page of an open file; reads nothing else.

    Raises:
        LayerFileError: what is open there is no whole layer file of this format; one sentence.
    """
    try:
        page = os.pread(descriptor, PAGE, 0)
        size = os.fstat(descriptor).st_size
    except OSError as error:
        raise LayerFileError(f"it can't be read ({error.strerror})") from error
    return parse_page(page, size)


def parse_page(page: bytes, file_size: int) -> Header:
    """Checks a first page against itself and the file's size; LayerFileError as above."""
    if not page.startswith(MAGIC):
        raise LayerFileError("it is no file that geoweir compiled")
    if len(page) < PAGE:
        raise LayerFileError("it ends within its first page")
    _, format_, count, kind_, size, version, digest = _HEADER.unpack_from(page)
    if format_ != FORMAT:
        raise LayerFileError(
            f"its format is {format_}, this version reads {FORMAT}: compile it again"
        )
    if digest != _page_digest(page):
        raise LayerFileError("its first page is damaged: compile it again")
    kind = kind_.rstrip(b"\0").decode("ascii", "replace")
    if kind not in KINDS or not 0 < count <= MAX_SECTIONS:
        raise LayerFileError("its first page makes no sense: compile it again")
    if size != file_size:
        raise LayerFileError(f"it has {file_size:,} bytes and should have {size:,}: copy it again")
    sections = [_entry(page, index, size) for index in range(count)]
    table = {one.name: one for one in sections}
    if len(table) != count or version != version_of(kind, sections):
        raise LayerFileError("its table of sections makes no sense: compile it again")
    return Header(kind, size, version.hex(), table)


def verify(descriptor: int, header: Header) -> str | None:
    """Reads everything: the name of the first section whose content isn't what was written."""
    for section in header.sections.values():
        digest, at, end = section_digest(), section.offset, section.offset + section.size
        while at < end:
            part = os.pread(descriptor, min(_READ, end - at), at)
            if not part:
                break
            digest.update(part)
            at += len(part)
        if digest.digest() != section.digest:
            return section.name
    return None


def _texts(section: Section) -> tuple[bytes, bytes]:
    return section.name.encode("ascii"), section.dtype.encode("ascii")


def _page_digest(page: bytes | bytearray) -> bytes:
    blank = bytearray(page)
    blank[_TABLE_DIGEST] = bytes(32)
    return hashlib.blake2b(blank, digest_size=32).digest()


def _entry(page: bytes, index: int, file_size: int) -> Section:
    name_, dtype_, columns, offset, size, digest = _ENTRY.unpack_from(
        page, _HEADER.size + index * _ENTRY.size
    )
    name = name_.rstrip(b"\0").decode("ascii", "replace")
    dtype = dtype_.rstrip(b"\0").decode("ascii", "replace")
    fits = (
        name
        and dtype in DTYPES
        and 0 < columns <= PAGE
        and offset >= PAGE
        and offset % PAGE == 0
        and offset + size <= file_size
        and size % (columns * DTYPES[dtype]) == 0
    )
    if not fits:
        raise LayerFileError("its table of sections makes no sense: compile it again")
    return Section(name, dtype, columns, offset, size, digest)
