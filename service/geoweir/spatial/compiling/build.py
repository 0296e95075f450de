"""A layer file from features that come in any number and order, within bounded memory.

Three passes over the features, of which the last two are over what the first has kept: as they
come, their boxes and what kinds of values they have are learned; then they are dealt into buckets
along the Hilbert curve, each of which fits in memory; then each bucket is put in order and written.
What waits, waits in spools, which go to a file when they outgrow their share.

The memory bound is for this; 80 bytes a feature are held besides, and who builds an index from the
finished arrays (see ``indexes``) reads them from the file and keeps a bound of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson

from geoweir.spatial import exactjson
from geoweir.spatial.columns import ColumnWriter, Row
from geoweir.spatial.compiling.block import Block
from geoweir.spatial.compiling.spool import Spool
from geoweir.spatial.file.writer import FileWriter
from geoweir.spatial.indexes import BUILDERS
from geoweir.spatial.order import in_space
from geoweir.spatial.ragged import Ragged

__all__ = ["LayerBuilder"]

_Numbers = npt.NDArray[np.float64]

#: Sections that grow with the features: name, dtype, columns.
_GROWING: Final = (
    ("source", "<u4", 1),
    ("dimensions", "u1", 1),
    ("features", "<u8", 1),
    ("parts", "<u8", 1),
    ("rings", "<u8", 1),
    ("coordinates", "<f8", 2),
    ("boxes", "<f8", 4),
)
#: What one byte takes while it is put in order: copies and indices; objects of parsed JSON.
_COORDINATES_SHARE: Final = 4
_ROW_SHARE: Final = 14
_FEATURE_BYTES: Final = 400


class LayerBuilder:
    """Takes features in blocks; ``write`` makes the file.

    Args:
        folder: where temporary files may be made.
        memory: bytes that may be taken besides what the process has already.
    """

    def __init__(self, folder: Path, memory: int) -> None:
        self._folder = folder
        self._memory = memory
        self._came = Spool(folder, memory // 4)
        self._out = Spool(folder, memory // 4)
        self._columns = ColumnWriter(self._out)
        self._boxes: list[_Numbers] = []
        self._weights: list[npt.NDArray[np.uint32]] = []
        self._offsets = {"features": 0, "parts": 0, "rings": 0}
        self.count = 0

    @property
    def fields(self) -> list[str]:
        """The properties that some feature has."""
        return self._columns.fields

    @property
    def spilled(self) -> int:
        """Bytes that went to temporary files so far."""
        return self._came.spilled + self._out.spilled

    def close(self) -> None:
        """Gives memory and temporary files back."""
        self._came.close()
        self._out.close()

    def add(self, ids: list[str], rows: list[Row], ragged: Ragged, numbers: list[int]) -> None:
        """The next features.

        Args:
            ids: their ids.
            rows: their properties.
            ragged: their geometries.
            numbers: their numbers in the source, from 0.
        """
        for ident, row in zip(ids, rows, strict=True):
            self._columns.learn(ident, row)
        texts = [exactjson.dumps(pair) for pair in zip(ids, rows, strict=True)]
        block = Block(np.array(numbers, dtype=np.uint32), ragged, texts)
        starts = ragged.rings[ragged.parts[ragged.features]]
        vertices = np.diff(starts).astype(np.int64) * (16 * _COORDINATES_SHARE)
        taken = vertices + _FEATURE_BYTES + np.array([len(t) for t in texts], "i8") * _ROW_SHARE
        self._weights.append(np.minimum(taken, 0xFFFFFFFF).astype(np.uint32))
        self._boxes.append(ragged.boxes())
        self._came.append_record("blocks", block.packed())
        self.count += len(ids)

    def write(self, target: str | Path | int, meta: dict[str, Any], crs: str) -> str:
        """Writes what came to a path or an open descriptor; the file's version.

        Args:
            target: a path, or a descriptor of a file that can be read and written.
            meta: what is said of the layer besides what is found here.
            crs: the name of the coordinates' CRS.

        Raises:
            OSError: no space, no permission.
        """
        boxes = np.concatenate(self._boxes) if self._boxes else np.empty((0, 4))
        order = in_space(boxes)
        for bucket in self._in_order(order):
            self._put(bucket)
        self._came.close()
        said = {"crs": crs, "features": self.count, "bounds": _bounds(boxes), **meta}
        del boxes, order
        self._boxes.clear()
        with FileWriter(target, "layer") as file:
            file.add("meta", np.frombuffer(orjson.dumps(said), dtype=np.uint8))
            for name, dtype, columns in _GROWING:
                self._close_offsets(name)
                with file.section(name, dtype, columns) as section:
                    for piece in self._out.pieces(name):
                        section.write(np.frombuffer(piece, dtype=dtype))
                self._out.forget(name)
            file.add("fields", np.frombuffer(self._columns.directory(), dtype=np.uint8))
            with file.section("columns", "u1") as section:
                for array in self._columns.content():
                    section.write(array)
            self._out.close()
            _add_indexes(file, crs)
            return file.finish()

    def _in_order(self, order: npt.NDArray[np.intp]) -> Iterator[Block]:
        """The features along the curve, in blocks that fit in memory."""
        if not self.count:
            return
        weights = np.concatenate(self._weights)
        self._weights.clear()
        along = np.cumsum(weights[order], dtype=np.int64)
        bucket = np.empty(self.count, dtype=np.int64)
        bucket[order] = along // max(self._memory // 3, 1)
        rank = np.empty(self.count, dtype=np.int64)
        rank[order] = np.arange(self.count)
        if int(bucket.max()) == 0:
            yield _joined(self._came, "blocks", order)
            return
        with Spool(self._folder, self._memory // 4) as dealt:
            members = self._deal(bucket, dealt)
            self._came.close()
            for number in sorted(members):
                mine = np.concatenate(members[number])
                yield _joined(dealt, str(number), np.argsort(rank[mine]))
                dealt.forget(str(number))

    def _deal(
        self, bucket: npt.NDArray[np.int64], dealt: Spool
    ) -> dict[int, list[npt.NDArray[np.intp]]]:
        """Puts each block's features into their buckets; who is in each, as they were put."""
        members: dict[int, list[npt.NDArray[np.intp]]] = {}
        first = 0
        for record in self._came.records("blocks"):
            block = Block.unpacked(record)
            mine = bucket[first : first + len(block.rows)]
            for number in np.unique(mine).tolist():
                some = np.flatnonzero(mine == number)
                dealt.append_record(str(number), block.take(some).packed())
                members.setdefault(number, []).append(some + first)
            first += len(block.rows)
        return members

    def _put(self, block: Block) -> None:
        """Appends features to the growing sections."""
        ragged = block.ragged
        self._out.append("source", block.numbers.tobytes())
        self._out.append("dimensions", ragged.dimensions.tobytes())
        self._out.append("coordinates", ragged.coordinates.tobytes())
        self._out.append("boxes", ragged.boxes().tobytes())
        for name, offsets in (
            ("features", ragged.features),
            ("parts", ragged.parts),
            ("rings", ragged.rings),
        ):
            self._out.append(name, (offsets[:-1] + np.uint64(self._offsets[name])).tobytes())
            self._offsets[name] += int(offsets[-1])
        self._columns.write(*block.attributes())

    def _close_offsets(self, name: str) -> None:
        if name in self._offsets:
            self._out.append(name, np.array([self._offsets[name]], dtype="<u8").tobytes())


def _joined(spool: Spool, key: str, order: npt.NDArray[np.intp]) -> Block:
    return Block.joined([Block.unpacked(record) for record in spool.records(key)]).take(order)


def _add_indexes(file: FileWriter, crs: str) -> None:
    if not BUILDERS:
        return
    ragged = Ragged(
        file.written("dimensions"),
        file.written("features"),
        file.written("parts"),
        file.written("rings"),
        file.written("coordinates"),
    )
    boxes = file.written("boxes")
    for build in BUILDERS:
        for name, array in build(ragged, boxes, crs).items():
            file.add(name, array)


def _bounds(boxes: _Numbers) -> list[float] | None:
    if not len(boxes) or np.isnan(boxes).all():
        return None
    return [*np.nanmin(boxes[:, :2], axis=0).tolist(), *np.nanmax(boxes[:, 2:], axis=0).tolist()]
