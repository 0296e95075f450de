"""Payloads of a chunk to features in columns.

Every fault of an input becomes that input's rejection; the others never notice. What can go wrong
here that is not a sender's fault (no memory, a bug) is left to fly.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
import orjson

from geoweir.codec.features import Features
from geoweir.codec.geojson import GeoJSONReader
from geoweir.codec.geometry import column
from geoweir.codec.ids import IdReader
from geoweir.codec.jsonfields import JSONFieldsReader
from geoweir.codec.owntracks import OwnTracksReader
from geoweir.codec.reach import reach_of
from geoweir.codec.rejection import Rejection
from geoweir.codec.rows import FormatReader, Input, Row
from geoweir.core.spec import StreamSpec
from geoweir.core.work import ChunkWork
from geoweir.errors import SenderError

__all__ = ["Decoded", "Decoder", "make_decoder"]

# An integer beyond 64 bits has at least 19 digits in a row. Making all digits alike lets one plain
# search find them: 0.2 us for 250 bytes, where a pattern takes 1.5.
_ALIKE: Final = bytes.maketrans(b"123456789", b"000000000")
_LARGE: Final = 65_536  # bytes
_MANY_DIGITS: Final = b"0" * 19


@dataclass(slots=True)
class Decoded:
    """What became of a chunk's inputs; one in neither has no features at all.

    Attributes:
        features: the features of every accepted input.
        rejected: why an input is refused, by its index in the chunk.
    """

    features: Features
    rejected: dict[int, Rejection]


def make_decoder(spec: StreamSpec) -> Decoder:
    """The decoder of a stream's format.

    Raises:
        ConfigurationError: when a field path is malformed or a needed one is missing.
    """
    reader: FormatReader
    match spec.format:
        case "geojson":
            reader = GeoJSONReader(spec)
        case "json":
            reader = JSONFieldsReader(spec)
        case "owntracks":
            reader = OwnTracksReader(spec)
    return Decoder(spec, reader)


class Decoder:
    """Decodes the chunks of one stream."""

    def __init__(self, spec: StreamSpec, reader: FormatReader) -> None:
        self._reader = reader
        self._ids = IdReader(spec)
        self._largest = spec.limits.payload
        self._reach = reach_of(spec)
        self._crs = spec.crs

    def decode(self, work: ChunkWork) -> Decoded:
        """Decodes one chunk; never raises for an input's fault."""
        rejected: dict[int, Rejection] = {}
        rows: list[Row] = []
        inputs: list[int] = []
        for index, payload in enumerate(work.payloads):
            address = work.addresses[index]
            try:
                read = self._read(payload, address, work.received[index])
            except SenderError as error:
                rejected[index] = self._rejection(error, payload, address)
            else:
                rows += read
                inputs += [index] * len(read)
        return self._columns(rows, inputs, rejected)

    def _read(self, payload: bytes, address: str, received: float) -> list[Row]:
        if len(payload) > self._largest:
            raise SenderError(
                "payload",
                f"The payload has {len(payload)} bytes; limits.payload allows {self._largest}.",
            )
        return self._reader.read(Input(_parse(payload), payload, address, received))

    def _rejection(self, error: SenderError, payload: bytes, address: str) -> Rejection:
        found = self._ids.glance(payload, address)
        return Rejection(error.reason, error.detail, found[0] if len(found) == 1 else None)

    def _columns(
        self, rows: list[Row], inputs: list[int], rejected: dict[int, Rejection]
    ) -> Decoded:
        geometries, faults = column([row.sketch for row in rows], self._reach)
        owners = np.array(inputs, dtype=np.int32)
        if faults:
            for index in sorted(faults):
                error = faults[index]
                rejected.setdefault(
                    inputs[index], Rejection(error.reason, error.detail, rows[index].id)
                )
            kept = np.array([index not in rejected for index in inputs], dtype=bool)
            rows = [row for row, keep in zip(rows, kept, strict=True) if keep]
            owners, geometries = owners[kept], geometries.take(kept)
        count = len(rows)
        return Decoded(
            Features(
                inputs=owners,
                ids=[row.id for row in rows],
                id_literals=[row.literal for row in rows],
                times=[row.time for row in rows],
                column=geometries,
                properties=[row.properties for row in rows],
                crs=self._crs,
                errors=[None] * count,
                filtered=[None] * count,
                repaired=[None] * count,
            ),
            rejected,
        )


def _parse(payload: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Parses a payload; integers of any length stay exact.

    Raises:
        SenderError: ``empty``, ``json`` or ``depth``.
    """
    if not payload:
        raise SenderError("empty", "The payload is empty.")
    try:
        document = _loads(payload)
    except orjson.JSONDecodeError as error:
        if "memory" in error.msg:
            # So it says of lists that are cut off; where memory really lacks, the sender is sound.
            return _parse_exactly(payload)
        reason = "depth" if "depth" in error.msg or "recursion" in error.msg else "json"
        raise SenderError(reason, f"The payload is not JSON: {error}.") from None
    return _parse_exactly(payload) if _MANY_DIGITS in payload.translate(_ALIKE) else document


def _loads(payload: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Parses JSON; a large one without the collector, which would look for garbage among it.

    Of 48 ms for 900 KB of empty lists it took 29, and a parser makes no cycles.
    """
    if len(payload) < _LARGE or not gc.isenabled():
        return orjson.loads(payload)
    gc.disable()
    try:
        return orjson.loads(payload)
    finally:
        gc.enable()


def _parse_exactly(payload: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Parses JSON once more, keeping integers beyond 64 bits."""
    try:
        return msgspec.json.decode(payload)
    except RecursionError:
        raise SenderError("depth", "The payload is nested too deep.") from None
    except msgspec.MsgspecError as error:
        raise SenderError("json", f"The payload is not JSON: {error}.") from None
