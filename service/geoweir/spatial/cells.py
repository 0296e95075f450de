"""The cells of a layer file: which polygons a point lies in, decided by the kernel.

A trie of square cells over the layer's bounds; `docs/spatial-join.md` explains it. A cell that no
edge touches needs no geometry at all, any other the few edges that touch it, exactly.

    cells         f8 (3,): x and y of the lower left corner, side of the smallest cell
    cell_nodes    u4 x 16
    cell_lists    u4

Without a kernel a file gets none of these, and a file's go unused: see ``Layer``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from geoweir.spatial.file.format import LayerFileError
from geoweir.spatial.file.mapped import MappedFile
from geoweir.spatial.kernel.loaded import ffi, lib
from geoweir.spatial.ragged import SURFACES, Ragged

__all__ = [
    "CellArrays",
    "Cells",
    "Match",
    "Pairs",
    "Predicate",
    "build_cells",
    "cell_sections",
    "grown",
]

Predicate = Literal["within", "intersects"]
Match = Literal["first", "all"]
Pairs = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]

#: More edges than that and a cell is split. With 16 answers take a quarter to a half longer, with 4
#: a layer of coasts has twice the cells.
LEAF: Final = 8
_TOP: Final = 4096  # words of gw_cells_top
_REFUSED: Final = 1  # gw_cells_build: memory


@dataclass(frozen=True, slots=True, eq=False)
class CellArrays:
    """What a layer file holds of the cells: see above."""

    frame: npt.NDArray[np.float64]
    nodes: npt.NDArray[np.uint32]
    lists: npt.NDArray[np.uint32]


def build_cells(
    ragged: Ragged, boxes: npt.NDArray[np.float64], leaf: int = LEAF
) -> CellArrays | None:
    """The cells of the surfaces among the features; other features have none.

    Args:
        ragged: valid polygons; offsets are trusted, coordinates may be anything.
        boxes: f8 (features, 4), as of ``Ragged.boxes``.
        leaf: a cell with more edges than that is split.

    Returns:
        None without a kernel, and where there is no surface or one beyond what cells reach (2^900,
        or an extent below 2^-900): without cells ``Layer`` gives the same answers more slowly.

    Raises:
        MemoryError: there isn't enough.
    """
    of_surfaces = boxes[ragged.dimensions == SURFACES]
    of_surfaces = of_surfaces[~np.isnan(of_surfaces[:, 0])]
    if lib is None or not len(of_surfaces):
        return None
    built = ffi.new("gw_cells_built *")
    code = lib.gw_cells_build(
        _pointer("double[]", ragged.coordinates),
        len(ragged.coordinates),
        _pointer("uint64_t[]", ragged.rings),
        _pointer("uint64_t[]", ragged.parts[ragged.features]),
        _pointer("uint8_t[]", (ragged.dimensions != SURFACES).astype(np.uint8)),
        len(ragged),
        [*of_surfaces[:, :2].min(axis=0), *of_surfaces[:, 2:].max(axis=0)],
        leaf,
        built,
    )
    if code == _REFUSED:
        raise MemoryError("too little memory for the cells of a layer")
    if code:
        return None
    return CellArrays(
        np.array([built.x, built.y, built.unit]),
        _owned(built.nodes, built.node_words).reshape(-1, 16),
        _owned(built.lists, built.list_words),
    )


def cell_sections(
    ragged: Ragged, boxes: npt.NDArray[np.float64], _crs: str
) -> dict[str, npt.NDArray[Any]]:
    """The sections above, for a file that is being written; none where there are no cells."""
    arrays = build_cells(ragged, boxes)
    if arrays is None:
        return {}
    return {"cells": arrays.frame, "cell_nodes": arrays.nodes, "cell_lists": arrays.lists}


class Cells:
    """The cells in an open file."""

    def __init__(self, arrays: CellArrays, ragged: Ragged, source: npt.NDArray[np.uint32]) -> None:
        """Reads the upper nodes. The kernel trusts nothing but the arrays' lengths.

        Args:
            arrays: as in the file.
            ragged: the geometries that the lists point into.
            source: u4 (features,): the order in which features are given out.
        """
        nodes, lists = arrays.nodes, arrays.lists
        fields = {
            "nodes": _pointer("uint32_t[]", nodes),
            "lists": _pointer("uint32_t[]", lists),
            "coordinates": _pointer("double[]", ragged.coordinates),
            "source": _pointer("uint32_t[]", source),
        }
        top = _pointer("uint32_t[]", np.empty(_TOP, dtype=np.uint32))
        self._kept = fields | {"top": top}  # the struct doesn't hold what its pointers point to
        self._cells = ffi.new("gw_cells *", fields)
        self._cells.x, self._cells.y, self._cells.unit = arrays.frame.tolist()
        self._cells.node_count = len(nodes)
        self._cells.list_words = len(lists)
        self._cells.vertex_count = len(ragged.coordinates)
        self._cells.feature_count = len(source)
        lib.gw_cells_top(self._cells, top)

    @classmethod
    def open(cls, file: MappedFile, ragged: Ragged, source: npt.NDArray[np.uint32]) -> Cells | None:
        """The cells of a layer file; None without a kernel or where the file has none."""
        if lib is None or "cells" not in file.header.sections:
            return None
        frame = file.array("cells", "<f8")
        if len(frame) != 3:  # noqa: PLR2004 - x, y, unit
            raise LayerFileError("its cells are damaged: compile it again")
        arrays = CellArrays(
            frame, file.array("cell_nodes", "<u4", 16), file.array("cell_lists", "<u4")
        )
        return cls(arrays, ragged, source)

    def locate(self, points: npt.NDArray[np.float64], predicate: Predicate, match: Match) -> Pairs:
        """Pairs of (point, feature), ascending by point and then by the feature's source number.

        Args:
            points: f8 (n, 2), x before y in the layer's CRS; NaN and infinity lie in nothing.
            predicate: whether a point on a boundary counts.
            match: all features of a point, or the first of the source only.
        """
        given = np.ascontiguousarray(points, dtype=np.float64)
        fixed = (
            self._cells,
            _pointer("double[]", given),
            len(given),
            predicate == "intersects",
            match == "first",
        )
        return grown(lambda *room: lib.gw_cells_locate(*fixed, *room), 2 * len(given) + 64)


def grown(run: Any, room: int) -> Pairs:  # noqa: ANN401 - see below
    """The pairs that a function of the kernel finds, called again where there was too little room.

    Args:
        run: takes two pointers to int64 and the room, gives how many pairs there are.
        room: to begin with.
    """
    while True:
        pairs = np.empty(2 * room, dtype=np.int64)
        owners = _pointer("int64_t[]", pairs)
        found = run(owners, owners + room, room)
        if found <= room:
            return pairs[:found], pairs[room : room + found]
        room = found


def _pointer(kind: str, array: npt.NDArray[Any]) -> Any:  # noqa: ANN401 - cffi's own
    return ffi.from_buffer(kind, array)


def _owned(words: Any, count: int) -> npt.NDArray[np.uint32]:  # noqa: ANN401 - cffi's own
    """The kernel's own memory as an array, which frees it at its end."""
    if not count:
        return np.empty(0, dtype=np.uint32)
    return np.frombuffer(ffi.buffer(ffi.gc(words, lib.gw_words_free), 4 * count), dtype=np.uint32)
