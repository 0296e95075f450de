"""What reads a layer file, each way once: nothing of it may crash, hang or read elsewhere.

A driver opens the file as the service and its workers do and asks it everything that there is to
ask. A damaged file may be refused, or give wrong answers.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from geoweir.spatial.file.format import read_header, verify
from geoweir.spatial.file.mapped import MappedFile
from geoweir.spatial.layerfile import ragged_of

__all__ = ["DRIVERS", "CopiedFile"]

_Rng = np.random.Generator


class CopiedFile(MappedFile):
    """Gives each section in memory of its own, just as long as it is.

    So a sanitizer sees a read beyond a section, which within the map would go unseen.
    """

    def array(self, name: str, dtype: str, columns: int = 1) -> npt.NDArray[Any]:
        """See MappedFile."""
        made: npt.NDArray[Any] = super().array(name, dtype, columns).copy()
        made.setflags(write=False)
        return made


def _container(path: Path, rng: _Rng) -> None:
    """The first page, every section's digest, and every value of every section."""
    del rng
    with path.open("rb") as file:
        header = read_header(file.fileno())
        verify(file.fileno(), header)
    mapped = MappedFile.open(path)
    for section in header.sections.values():
        mapped.array(section.name, section.dtype, section.columns).max(initial=0)
        mapped.advise(section.name, "random")


def _ragged(path: Path, rng: _Rng) -> None:
    """Geometries from offsets that nobody has checked."""
    ragged = ragged_of(CopiedFile.open(path))
    some = rng.integers(0, max(len(ragged), 1), 20)
    ragged.take(some)
    ragged.to_shapely(some)
    ragged.boxes()


DRIVERS: Final[dict[str, Callable[[Path, _Rng], None]]] = {
    "container": _container,
    "ragged": _ragged,
}
