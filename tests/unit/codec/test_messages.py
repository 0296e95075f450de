from __future__ import annotations

import base64

import orjson

from geoweir.codec.messages import encode_reconcile, encode_rejected, iso


def rejected(**changes: object) -> dict[str, object]:
    given = {
        "stream": "s", "topic": "in/a", "id": "7", "reason": "json", "detail": "No.",
        "received": 1_750_000_000.1234, "payload": b"\xff\0",
    }  # fmt: skip
    message: dict[str, object] = orjson.loads(encode_rejected(**given | changes))  # type: ignore[arg-type]
    return message


def test_a_moment_is_utc_with_milliseconds() -> None:
    assert iso(0) == "1970-01-01T00:00:00.000Z"
    assert iso(1_750_000_000.125) == "2025-06-15T15:06:40.125Z"


def test_a_rejected_message_has_the_contracts_members() -> None:
    assert rejected() == {
        "stream": "s",
        "topic": "in/a",
        "id": "7",
        "reason": "json",
        "detail": "No.",
        "received": "2025-06-15T15:06:40.123Z",
        "payload_base64": "/wA=",
    }
    assert "id" not in rejected(id=None)


def test_t29_a_rejected_message_is_bounded_and_harmless() -> None:
    message = rejected(
        topic="t" * 70_000,
        id="\ud800" + "i" * 70_000,
        detail="\x1b[31m\u202e\x85\ud800" + "d" * 9_000,
        payload=b"p" * 1_000_000,
    )

    assert base64.b64decode(str(message["payload_base64"])) == b"p" * 4096
    assert len(str(message["topic"])) == len(str(message["id"])) == 1024
    assert str(message["detail"]).startswith("\ufffd[31m\ufffd\ufffd\ufffdd")
    assert len(str(message["detail"])) == 512


def test_a_reconciliation_message_lists_every_id_flat_and_by_input() -> None:
    message = orjson.loads(
        encode_reconcile(
            chunk="c1",
            stream="s",
            reason="crash",
            inputs=[(["a"], "in/a", 0.0), ([], "in/b", 1.0), (["c", "d"], "in/c", 2.5)],
            attempts=2,
            at=3.0,
        )
    )

    assert message == {
        "chunk": "c1",
        "stream": "s",
        "reason": "crash",
        "ids": ["a", "c", "d"],
        "inputs": [
            {"id": "a", "topic": "in/a", "received": "1970-01-01T00:00:00.000Z"},
            {"id": None, "topic": "in/b", "received": "1970-01-01T00:00:01.000Z"},
            {
                "id": "c",
                "ids": ["c", "d"],
                "topic": "in/c",
                "received": "1970-01-01T00:00:02.500Z",
            },
        ],
        "attempts": 2,
        "at": "1970-01-01T00:00:03.000Z",
    }
