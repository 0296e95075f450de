"""Keys: the deterministic name of a result.

A key is equal whenever the same input gives the same result again, on any run and any machine, so
that consumers can drop repeats. It holds nothing of the transport (no packet id, no offset).
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

from geoweir.codec.percent import encode_key_part

__all__ = ["batch_key", "input_digest", "result_key"]


def input_digest(address: str, payload: bytes) -> str:
    """16 hex digits of one input: its topic, NUL, its payload."""
    whole = address.encode("utf-8", "surrogatepass") + b"\0" + payload
    return blake2b(whole, digest_size=8).hexdigest()


def result_key(
    stream: str, ident: str, time: float | None, digest: str, member: int | None = None
) -> str:
    """The key of one feature's result: ASCII, at most 300 bytes.

    Args:
        stream: the stream's name.
        ident: the feature's id, empty where there is none (a rejected input).
        time: the fix time in Unix seconds.
        digest: see ``input_digest``.
        member: the feature's index, for an input of several features.
    """
    moment = "-" if time is None else repr(time).removesuffix(".0")
    key = f"{encode_key_part(stream)}:{encode_key_part(ident)}:{moment}:{digest}"
    return key if member is None else f"{key}:{member}"


def batch_key(stream: str, members: Iterable[str]) -> str:
    """The key of a whole chunk's FeatureCollection: a digest of its members' keys."""
    digest = blake2b(digest_size=8)
    for key in members:
        digest.update(key.encode())
        digest.update(b"\0")
    return f"{encode_key_part(stream)}:batch:-:{digest.hexdigest()}"
