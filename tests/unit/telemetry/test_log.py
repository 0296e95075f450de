import io
import logging
from collections.abc import Iterator

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoweir.telemetry.log import LOGGER, FloodFilter, LogFormat, clean, configure, write


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield logger
    logger.handlers[:] = handlers
    logger.setLevel(level)


@pytest.fixture
def stream(root: logging.Logger) -> io.StringIO:  # noqa: ARG001 - restores the root logger
    return io.StringIO()


def lines(stream: io.StringIO) -> list[str]:
    return stream.getvalue().splitlines()


def test_an_event_is_one_line_of_text(stream: io.StringIO) -> None:
    configure(stream=stream)

    write(LOGGER, logging.WARNING, "inputs-rejected", "json", stream="buses", n=3, detail="a b")

    (line,) = lines(stream)
    assert line.endswith('WARNING inputs-rejected reason=json stream=buses n=3 detail="a b"')


def test_an_event_is_one_json_object(stream: io.StringIO) -> None:
    configure(form="json", stream=stream)

    write(LOGGER, logging.ERROR, "inputs-reconciled", "crash", ids=["a", "b"], n=2)

    event = orjson.loads(stream.getvalue())
    assert event.pop("time").endswith("Z")
    assert event == {
        "level": "error", "event": "inputs-reconciled", "reason": "crash", "ids": ["a", "b"], "n": 2
    }  # fmt: skip


@pytest.mark.parametrize("form", ["text", "json"])
@given(value=st.text() | st.text(alphabet="\x1b[0;31m\r\n\x9b\u202e\ud800ab", max_size=30))
def test_t29_no_value_reaches_the_terminal_as_control(form: LogFormat, value: str) -> None:
    stream = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        configure(form=form, stream=stream)
        write(LOGGER, logging.ERROR, "odd", id=value, ids=[value])
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)

    text = stream.getvalue()
    assert text.endswith("\n")
    assert text.count("\n") == 1
    assert all(ch.isprintable() or ch.isspace() or ord(ch) > 0x9F for ch in text[:-1])
    assert not set("\x1b\x9b\r\u2028\u202e\u2066") & set(text)


def test_an_ansi_escape_leaves_nothing_behind() -> None:
    assert clean("\x1b[31mred\x1b[0m \x9b2Jgone") == "red gone"


def test_a_long_value_is_cut() -> None:
    assert len(clean("x" * 100_000)) == 1001


def test_a_password_in_a_url_is_hidden() -> None:
    assert clean("mqtt://me:hunter2@broker:1883") == "mqtt://***@broker:1883"


def test_a_field_named_like_a_secret_is_hidden(stream: io.StringIO) -> None:
    configure(stream=stream)

    write(LOGGER, logging.INFO, "odd", api_token="hunter2", password="hunter2")  # noqa: S106

    assert "hunter2" not in stream.getvalue()


def test_many_ids_are_shown_in_part(stream: io.StringIO) -> None:
    configure(form="json", stream=stream)

    write(LOGGER, logging.INFO, "odd", ids=[str(i) for i in range(128)])

    assert orjson.loads(stream.getvalue())["ids"][-2:] == ["19", "and 108 more"]


def test_t27_a_flood_of_one_kind_is_thinned_and_counted() -> None:
    now = 0.0
    flood = FloodFilter(lambda: now)
    passed = []

    def send(reason: str) -> None:
        record = logging.makeLogRecord({"msg": "e", "kind": ("e", reason)})
        if flood.filter(record):
            passed.append((reason, record.__dict__["suppressed"]))

    for _ in range(10_000):
        send("json")
    send("crash")
    now = 1.0
    send("json")

    assert passed == [("json", 0)] * 10 + [("crash", 0), ("json", 9_990)]


def test_the_filter_remembers_a_bounded_number_of_kinds() -> None:
    flood = FloodFilter(lambda: 0.0)

    for number in range(5_000):
        flood.filter(logging.makeLogRecord({"msg": f"free text {number}"}))

    assert len(flood._kinds) <= 1001


def test_a_librarys_line_has_the_same_form(stream: io.StringIO) -> None:
    configure(stream=stream)

    logging.getLogger("library").warning("bad\n%s", "\x1b[2Jthing")

    (line,) = lines(stream)
    assert line.endswith("WARNING bad thing logger=library")


def test_an_exception_is_one_line_and_its_traceback_only_for_debug(stream: io.StringIO) -> None:
    for level in ("info", "debug"):
        configure(level=level, stream=stream)
        LOGGER.error("failed", exc_info=ValueError("broken\nbadly"))

    plain, full = lines(stream)
    assert 'error="ValueError: broken badly"' in plain
    assert "traceback=" not in plain
    assert "traceback=" in full


@pytest.mark.parametrize(("form", "said"), [("text", " process=3 "), ("json", '"process":3,')])
def test_one_process_of_several_says_in_each_line_which_it_is(
    stream: io.StringIO, form: LogFormat, said: str
) -> None:
    configure(form=form, stream=stream, process=3)
    write(LOGGER, logging.WARNING, "tested", stream="s")
    logging.getLogger("library").warning("something")
    assert len(lines(stream)) == 2
    assert all(said in line for line in lines(stream)), lines(stream)
