import asyncio

import pytest

from geoweir.app.fleet import wire
from geoweir.core.spec import Fields, LayerSpec, Limits, PrefilterSpec, StepSpec, StreamSpec
from geoweir.errors import WorkerError
from geoweir.settings.values import (
    HttpSettings,
    LogSettings,
    MqttSettings,
    Settings,
    StateSettings,
    TlsSettings,
)

SETTINGS = Settings(
    mqtt=MqttSettings(password="secret", tls=TlsSettings(ca="/ca"), session_expiry_s=7.5),  # noqa: S106
    streams=(
        StreamSpec(
            name="é",
            subscribe=("a/+", "$share/g/b"),
            fields=Fields(id="{topic[1]}"),
            limits=Limits(coordinate=1e300),
            prefilter=PrefilterSpec(bbox=(170.0, -1.0, -170.0, 1.0), z=(0.0, 1.0)),
            steps=(StepSpec(name="where", options={"in": [1, "a", None, 1.5], "field": "f"}),),
        ),
    ),
    layers=(LayerSpec(name="l", path="/l"),),
    state=StateSettings(path="/s", keeps_rejected=False, messages=1, size=2, age_s=0.5),
    http=HttpSettings(token="secret"),  # noqa: S106
    log=LogSettings(format="json"),
)


def reader_of(data: bytes) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return reader


def test_a_plan_arrives_as_it_was() -> None:
    plan = wire.Plan(SETTINGS, (SETTINGS, SETTINGS), True)
    assert wire.read_plan(wire.write_plan(plan)) == plan


async def test_an_assignment_arrives_as_it_was_and_then_a_question() -> None:
    assignment = wire.Assignment(3, SETTINGS, "http://x", False)
    reader = reader_of(wire.frame(assignment) + wire.frame(wire.Ask()))
    assert await wire.hear_supervisor(reader) == assignment
    assert await wire.hear_supervisor(reader) == wire.Ask()
    assert await wire.hear_supervisor(reader) is None


async def test_a_message_that_was_cut_off_is_the_end() -> None:
    reader = reader_of(wire.frame(wire.Failed("why", 1))[:-1])
    assert await wire.hear_member(reader) is None


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x01\xc1",
        b"\x00\x00\x00\x00",
        wire.frame(wire.Ask()),
        b"\x00\x00\x00\x03\xa2\xff\xff",
    ],
)
async def test_what_no_process_says_is_refused(data: bytes) -> None:
    with pytest.raises(WorkerError):
        await wire.hear_member(reader_of(data))
