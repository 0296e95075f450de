"""Messages about inputs that gave no result: rejected ones, and those to be reconciled."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import orjson

__all__ = ["encode_reconcile", "encode_rejected", "iso"]

_LARGEST_COPY: Final = 4096  # bytes of a rejected payload that are given back
_LONGEST_NAME: Final = 1024  # characters of a topic or id
_LONGEST_DETAIL: Final = 512
_SURROGATES: Final = re.compile("[\ud800-\udfff]")
_CONTROLS: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\ud800-\udfff\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)


def iso(unix_seconds: float) -> str:
    """A moment in ISO 8601, UTC, with milliseconds and Z."""
    moment = datetime.fromtimestamp(unix_seconds, UTC).replace(tzinfo=None)
    return moment.isoformat(timespec="milliseconds") + "Z"


def encode_rejected(
    *,
    stream: str,
    topic: str,
    id: str | None,  # noqa: A002 - the contract's name
    reason: str,
    detail: str,
    received: float,
    payload: bytes,
) -> bytes:
    """The message about one rejected input.

    Args:
        stream: the stream's name.
        topic: the topic that the input came on; at most 1,024 characters are given.
        id: the input's id where it could be read; at most 1,024 characters are given.
        reason: from the closed list.
        detail: a sentence; control characters are replaced, at most 512 characters are given.
        received: Unix seconds.
        payload: the input; at most its first 4,096 bytes are given, in base64.
    """
    message: dict[str, Any] = {"stream": stream, "topic": _name(topic)}
    if id is not None:
        message["id"] = _name(id)
    message |= {
        "reason": reason,
        "detail": _CONTROLS.sub("\ufffd", _cut(detail, _LONGEST_DETAIL)),
        "received": iso(received),
        "payload_base64": base64.b64encode(payload[:_LARGEST_COPY]).decode(),
    }
    return orjson.dumps(message)


def encode_reconcile(
    *,
    chunk: str,
    stream: str,
    reason: str,
    inputs: Sequence[tuple[list[str], str, float]],
    attempts: int,
    at: float,
) -> bytes:
    """The message about inputs that were dropped and may be sent again.

    Args:
        chunk: the name of the chunk, or of the part of it.
        stream: the stream's name.
        reason: from the closed list.
        inputs: each input's ids (none where they can't be read), topic and arrival.
        attempts: how often the inputs were tried.
        at: Unix seconds.
    """
    entries = [_reconciled(*given) for given in inputs]
    return orjson.dumps(
        {
            "chunk": chunk,
            "stream": stream,
            "reason": reason,
            "ids": [_name(one) for ids, _, _ in inputs for one in ids],
            "inputs": entries,
            "attempts": attempts,
            "at": iso(at),
        }
    )


def _reconciled(ids: list[str], topic: str, received: float) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": _name(ids[0]) if ids else None}
    if len(ids) > 1:
        entry["ids"] = [_name(one) for one in ids]
    return entry | {"topic": _name(topic), "received": iso(received)}


def _name(text: str) -> str:
    """A topic or id that JSON can hold; JSON's own escapes make control characters harmless."""
    return _SURROGATES.sub("\ufffd", _cut(text, _LONGEST_NAME))


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
