"""Some features on their way into a layer file: as arrays, and as bytes while they wait."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from geoweir.spatial import exactjson
from geoweir.spatial.ragged import Ragged

__all__ = ["Block"]

_Indices = npt.NDArray[np.intp]
_SIZES: Final = struct.Struct("<6Q")
_DTYPES: Final = ("<u4", "u1", "<u8", "<u8", "<u8", "<f8")


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Features with their attributes still as JSON, ``[id, properties]`` each.

    Attributes:
        numbers: u4 (features,): each one's number in the source.
        ragged: the geometries.
        rows: the attributes.
    """

    numbers: npt.NDArray[np.uint32]
    ragged: Ragged
    rows: list[bytes]

    def take(self, some: _Indices) -> Self:
        """Some of the features, in the order given."""
        rows = [self.rows[index] for index in some.tolist()]
        return type(self)(self.numbers[some], self.ragged.take(some), rows)

    def attributes(self) -> tuple[list[str], list[dict[str, Any]]]:
        """The ids and the properties."""
        pairs = [exactjson.loads(row) for row in self.rows]
        return [pair[0] for pair in pairs], [pair[1] for pair in pairs]

    def packed(self) -> bytes:
        """All of it as bytes, for ``unpacked``."""
        ragged = self.ragged
        arrays = (
            self.numbers,
            ragged.dimensions,
            ragged.features,
            ragged.parts,
            ragged.rings,
            ragged.coordinates.ravel(),
        )
        content = [
            array.astype(dtype).tobytes() for array, dtype in zip(arrays, _DTYPES, strict=True)
        ]
        return _SIZES.pack(*map(len, content)) + b"".join(content) + b"\n".join(self.rows)

    @classmethod
    def unpacked(cls, data: bytes) -> Self:
        """What was packed."""
        arrays: list[npt.NDArray[Any]] = []
        at = _SIZES.size
        for size, dtype in zip(_SIZES.unpack_from(data), _DTYPES, strict=True):
            arrays.append(np.frombuffer(data[at : at + size], dtype=dtype))
            at += size
        numbers, dimensions, features, parts, rings, coordinates = arrays
        ragged = Ragged(dimensions, features, parts, rings, coordinates.reshape(-1, 2))
        return cls(numbers, ragged, data[at:].split(b"\n") if len(numbers) else [])

    @classmethod
    def joined(cls, blocks: list[Self]) -> Self:
        """The features of all of them, one after the other; at least one block."""
        each = [block.ragged for block in blocks]
        ragged = Ragged(
            np.concatenate([one.dimensions for one in each]),
            _continued([one.features for one in each]),
            _continued([one.parts for one in each]),
            _continued([one.rings for one in each]),
            np.concatenate([one.coordinates for one in each]),
        )
        numbers = np.concatenate([block.numbers for block in blocks])
        return cls(numbers, ragged, [row for block in blocks for row in block.rows])


def _continued(offsets: list[npt.NDArray[np.uint64]]) -> npt.NDArray[np.uint64]:
    """Offsets of lists that now stand behind each other."""
    counts = np.concatenate([np.diff(one) for one in offsets])
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.uint64)
