"""A layer file as read-only arrays: one map of the whole file, shared by all who map it."""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import orjson

from geoweir.spatial.file.format import Header, LayerFileError, Section, read_header

__all__ = ["MappedFile"]

#: The section with what a person may want to know, as JSON.
META: Final = "meta"


class MappedFile:
    """The sections of a file, by name, as arrays that can't be written to.

    Attributes:
        header: what the first page says, checked.
        meta: the JSON of the section ``meta``.
    """

    def __init__(self, descriptor: int) -> None:
        """Maps an open file; the descriptor may be closed afterwards.

        Raises:
            LayerFileError: it is no whole layer file.
        """
        self.header: Header = read_header(descriptor)
        self._map = mmap.mmap(descriptor, self.header.size, access=mmap.ACCESS_READ)
        self.meta = self._read_meta()

    @classmethod
    def open(cls, path: str | Path) -> MappedFile:
        """Maps the file at a path; OSError where it can't be opened, LayerFileError as above."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return cls(descriptor)
        finally:
            os.close(descriptor)

    def array(self, name: str, dtype: str, columns: int = 1) -> npt.NDArray[Any]:
        """A section as an array of shape (rows,), or (rows, columns); its values are unchecked.

        Raises:
            LayerFileError: there is no such section, or it is of another form.
        """
        section = self.header.sections.get(name)
        if section is None or (section.dtype, section.columns) != (dtype, columns):
            raise LayerFileError(f"it has no section {name} of this form: compile it again")
        flat = np.frombuffer(
            self._map, dtype=dtype, count=section.rows * columns, offset=section.offset
        )
        return flat if columns == 1 else flat.reshape(-1, columns)

    def advise(self, name: str, how: Literal["random", "willneed"]) -> None:
        """Tells the kernel how a section will be read."""
        section: Section = self.header.sections[name]
        advice = mmap.MADV_RANDOM if how == "random" else mmap.MADV_WILLNEED
        if section.size:
            self._map.madvise(advice, section.offset, section.size)

    def _read_meta(self) -> dict[str, Any]:
        try:
            meta = orjson.loads(bytes(self.array(META, "u1")))
        except orjson.JSONDecodeError as error:
            raise LayerFileError("its description is damaged: compile it again") from error
        if not isinstance(meta, dict):
            raise LayerFileError("its description is damaged: compile it again")
        return meta
