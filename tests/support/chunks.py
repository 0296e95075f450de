"""Chunks for tests of the codec: payloads in, columns out."""

from __future__ import annotations

import orjson

from geoweir.codec.decode import Decoded, make_decoder
from geoweir.core.spec import StreamSpec
from geoweir.core.work import ChunkWork

__all__ = ["GOOD", "NOW", "chunk_of", "decode", "feature", "stream"]

NOW = 1_750_000_000.0
GOOD = (
    b'{"type":"Feature","id":"good",'
    b'"geometry":{"type":"Point","coordinates":[1,2]},"properties":{}}'
)


def stream(**changes: object) -> StreamSpec:
    return StreamSpec(**{"name": "s", "subscribe": ("in/#",)} | changes)  # type: ignore[arg-type]


def chunk_of(*payloads: bytes, now: float = NOW) -> ChunkWork:
    count = len(payloads)
    return ChunkWork(0, list(payloads), [f"in/dev{i}/pos" for i in range(count)], [now] * count)


def decode(*payloads: bytes, spec: StreamSpec | None = None, now: float = NOW) -> Decoded:
    return make_decoder(spec or stream()).decode(chunk_of(*payloads, now=now))


def feature(geometry: object, ident: object = "a", **properties: object) -> bytes:
    return orjson.dumps(
        {"type": "Feature", "id": ident, "geometry": geometry, "properties": properties}
    )
