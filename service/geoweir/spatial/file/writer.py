"""Writing a layer file: section by section, in streams if need be, and then all at once visible."""

from __future__ import annotations

import contextlib
import mmap
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from geoweir.spatial.file.format import (
    DTYPES,
    MAX_SECTIONS,
    PAGE,
    Section,
    pack_page,
    padded,
    section_digest,
    version_of,
)

__all__ = ["FileWriter", "SectionWriter"]

_Array = npt.NDArray[Any]


class SectionWriter:
    """Takes the rows of one section, as many at a time as the caller has."""

    def __init__(self, file: Any, name: str, dtype: str, columns: int, offset: int) -> None:  # noqa: ANN401
        self._file = file
        self._digest = section_digest()
        self._shape = (name, dtype, columns, offset)
        self._size = 0

    def write(self, rows: _Array) -> None:
        """Appends rows; they are converted to the section's dtype, which must hold them."""
        _, dtype, columns, _ = self._shape
        data = np.ascontiguousarray(rows, dtype=dtype)
        if data.size % columns:
            raise ValueError(f"{data.shape} is not in rows of {columns}")
        view = data.data.cast("B") if data.size else b""
        self._file.write(view)
        self._digest.update(view)
        self._size += len(view)

    def ended(self) -> Section:
        """What the table says of it."""
        name, dtype, columns, offset = self._shape
        return Section(name, dtype, columns, offset, self._size, self._digest.digest())


class FileWriter:
    """Writes to a temporary file beside ``path``; ``finish`` syncs it and renames it there.

    Used as a context: left without ``finish``, nothing of it remains and ``path`` is as before.
    Where ``path`` is an open descriptor (a memfd, say), the file is written into that.
    """

    def __init__(self, path: str | Path | int, kind: str) -> None:
        self._kind = kind
        self._path: Path | None = None
        self._sections: list[Section] = []
        if isinstance(path, int):
            self._file = os.fdopen(path, "wb", closefd=False)
        else:
            self._path = Path(path)
            handle, name = tempfile.mkstemp(prefix=f".{self._path.name}.", dir=self._path.parent)
            self._temporary = Path(name)
            self._file = os.fdopen(handle, "wb")
        self._file.write(bytes(PAGE))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        if self._path is not None:
            self._temporary.unlink(missing_ok=True)

    @contextlib.contextmanager
    def section(self, name: str, dtype: str, columns: int = 1) -> Iterator[SectionWriter]:
        """A section to be filled before the next one begins."""
        if dtype not in DTYPES or len(self._sections) >= MAX_SECTIONS or len(name) > 24:  # noqa: PLR2004
            raise ValueError(f"no section {name} of {dtype}")
        offset = self._file.tell()
        self._file.write(bytes(padded(offset) - offset))
        writer = SectionWriter(self._file, name, dtype, columns, padded(offset))
        yield writer
        self._sections.append(writer.ended())

    def add(self, name: str, array: _Array) -> None:
        """A whole section: one row per item of the first axis."""
        columns = int(np.prod(array.shape[1:], dtype=np.int64)) if array.ndim > 1 else 1
        dtype = array.dtype.newbyteorder("<").str
        with self.section(name, dtype.replace("|", ""), max(columns, 1)) as section:
            section.write(array)

    def written(self, name: str) -> _Array:
        """A section that was written, read back from the file: it takes no memory of its own.

        It is for those who build further sections from it.
        """
        section = next(one for one in self._sections if one.name == name)
        if not section.size:
            flat = np.empty(0, dtype=section.dtype)
        else:
            self._file.flush()
            start = section.offset - section.offset % mmap.ALLOCATIONGRANULARITY
            length = section.offset - start + section.size
            mapped = mmap.mmap(self._file.fileno(), length, offset=start, access=mmap.ACCESS_READ)
            flat = np.frombuffer(
                mapped,
                dtype=section.dtype,
                count=section.rows * section.columns,
                offset=section.offset - start,
            )
        return flat if section.columns == 1 else flat.reshape(-1, section.columns)

    def finish(self) -> str:
        """Makes it durable and visible; the content's version."""
        size = self._file.tell()
        self._file.seek(0)
        self._file.write(pack_page(self._kind, size, self._sections))
        self._file.flush()
        if self._path is not None:
            os.fsync(self._file.fileno())
            os.fchmod(self._file.fileno(), 0o644)
            self._temporary.replace(self._path)
            _sync_folder(self._path.parent)
        return version_of(self._kind, self._sections).hex()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
