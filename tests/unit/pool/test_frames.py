"""Whatever a worker sends is a reply or is refused."""

from __future__ import annotations

import random

import msgspec
import pytest

from geoweir.core.outcome import Outcome, outcome_of
from geoweir.core.work import ChunkDone, ChunkWork, MessageKind, OutMessage
from geoweir.errors import WorkerError
from geoweir.pool.frames import (
    FRAME_LIMIT,
    LENGTH,
    Answer,
    Failure,
    Fault,
    FrameReader,
    Ready,
    Reply,
    Request,
    Unfit,
    checked_done,
    decode_order,
    decode_reply,
    encode_frame,
    pack,
)

MESSAGE = OutMessage(0, MessageKind.RESULT, "out/ä", b"\x00\xff", "key")


def answer(codes: bytes = b"\x00", *messages: OutMessage) -> Answer:
    return Answer(1, -1, 2, codes, list(messages), 3, [0.5], 4)


@pytest.mark.parametrize(
    "reply", [Ready(1, 2), Unfit("why"), Fault(1, 2, Failure.CRASH, "x"), answer(b"\x00", MESSAGE)]
)
def test_replies_come_back_as_they_went(reply: Reply) -> None:
    assert decode_reply(pack(reply)) == reply


def test_requests_come_back_as_they_went() -> None:
    request = Request(7, each=True, work=ChunkWork(1, [b"a", b""], ["t", "ü"], [1.5, 2.5]))
    assert decode_order(pack(request)) == request


def test_an_answer_becomes_the_chunks_outcome() -> None:
    assert checked_done(answer(b"\x00", MESSAGE), 1) == ChunkDone(b"\x00", [MESSAGE], 3, [0.5], 4)


@pytest.mark.parametrize(
    "answered",
    [
        answer(b""),
        answer(b"\x00\x00"),
        answer(b"\xff"),
        answer(bytes([outcome_of(Outcome.RECONCILED, "timeout")])),
        answer(b"\x00", OutMessage(1, MessageKind.RESULT, "t", b"", "")),
        answer(b"\x00", OutMessage(-2, MessageKind.RESULT, "t", b"", "")),
    ],
)
def test_t24_an_answer_about_other_inputs_or_with_foreign_codes_is_refused(
    answered: Answer,
) -> None:
    with pytest.raises(WorkerError):
        checked_done(answered, 1)


def test_every_code_of_a_worker_is_accepted() -> None:
    codes = bytes(
        [outcome_of(Outcome.PUBLISHED), outcome_of(Outcome.FILTERED, "z"),
         outcome_of(Outcome.REJECTED, "refused")]
    )  # fmt: skip
    assert checked_done(answer(codes), 3).codes == codes


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x80\x04.",
        b"\xc1",
        b"\x91" * 100_000,
        b"\xdd\xff\xff\xff\xff",
        b"\x92\xa5Unfit\xa1\xff",
        pack(Ready(1, 2)) + b"\x00",
        pack(Ready(-1, 2)),
        pack(Unfit("x" * 3000)),
        pack(answer()).replace(b"\xcb\x3f\xe0" + bytes(6), b"\xcb\x7f\xf8" + bytes(6)),  # NaN
        pack(answer()).replace(b"\xcb\x3f\xe0" + bytes(6), b"\xcb\x7f\xf0" + bytes(6)),  # inf
        msgspec.msgpack.encode(["Answer", 1, -1, 2, b"", [[1]], 3, [], 4]),
        msgspec.msgpack.encode(["Answer", 1, -1, 2, "text", [], 3, [], 4]),
    ],
)
def test_t24_what_is_no_reply_is_refused(body: bytes) -> None:
    with pytest.raises(WorkerError):
        decode_reply(body)


def test_t24_garbled_replies_are_replies_or_refused() -> None:
    source = random.Random(3)
    good = pack(answer(b"\x00", MESSAGE))
    for _ in range(5000):
        body = bytearray(good)
        for _ in range(source.randrange(1, 5)):
            body[source.randrange(len(body))] = source.randrange(256)
        try:
            decode_reply(bytes(body))
        except WorkerError:
            continue


def test_frames_are_cut_wherever_the_bytes_are_cut() -> None:
    stream = encode_frame(Ready(1, 2)) + encode_frame(Unfit("x")) + encode_frame(Ready(3, 4))
    for size in range(1, len(stream) + 1):
        reader, bodies = FrameReader(), []
        for start in range(0, len(stream), size):
            bodies += list(reader.feed(stream[start : start + size]))
        assert [decode_reply(body) for body in bodies] == [Ready(1, 2), Unfit("x"), Ready(3, 4)]


def test_an_announced_length_over_the_limit_is_refused_at_once() -> None:
    with pytest.raises(WorkerError, match="announced"):
        list(FrameReader().feed(LENGTH.pack(FRAME_LIMIT + 1)))


def test_a_frame_over_the_limit_is_not_made() -> None:
    with pytest.raises(WorkerError, match="over the limit"):
        encode_frame(Request(1, each=False, work=ChunkWork(0, [bytes(FRAME_LIMIT)], ["t"], [0.0])))
