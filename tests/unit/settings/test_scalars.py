import math

import pytest

from geoweir.settings.scalars import SubstitutionError, is_one_variable, resolve, substitute


@pytest.mark.parametrize(
    "text", ["on", "off", "NO", "yes", "012", "-012", "12:30", "12:30:00", "1_000", "3.1.1", "0b1"]
)
def test_t30_what_only_yaml_1_1_reads_stays_text(text: str) -> None:
    assert resolve(text) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("12", 12),
        ("-3", -3),
        ("0x1F", 31),
        ("0o17", 15),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-2.5e-3", -0.0025),
        ("18446744073709551617", 18446744073709551617),
    ],
)
def test_core_scalars_are_read(text: str, value: object) -> None:
    found = resolve(text)
    assert (found, type(found)) == (value, type(value))


def test_infinity_is_a_float_for_validation_to_refuse() -> None:
    assert resolve("-.inf") == -math.inf


def test_more_digits_than_python_reads_stay_text() -> None:
    assert resolve("9" * 5000) == "9" * 5000


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("mqtt://${HOST}:1883", "mqtt://broker:1883"),
        ("${UNSET:-4s}", "4s"),
        ("${EMPTY:-4s}", "4s"),
        ("${EMPTY}", ""),
        ("${UNSET:-}", ""),
        ("$$x", "$x"),
        ("$${HOST}", "${HOST}"),
        ("$share/group/x", "$share/group/x"),
        ("{topic[1]}", "{topic[1]}"),
        ("$HOST", "$HOST"),
        ("${NESTED}", "${HOST}"),
    ],
)
def test_variables_are_put_in_once(text: str, value: str) -> None:
    environ = {"HOST": "broker", "EMPTY": "", "NESTED": "${HOST}"}
    assert substitute(text, environ) == value


def test_a_missing_variable_is_refused_by_name() -> None:
    with pytest.raises(SubstitutionError, match="no variable HOST") as error:
        substitute("${HOST}", {})
    assert error.value.code == "missing-variable"


@pytest.mark.parametrize("text", ["${", "${}", "${HOST", "${1}", "${A B}", "${A-b}"])
def test_a_malformed_variable_is_refused(text: str) -> None:
    with pytest.raises(SubstitutionError) as error:
        substitute(text, {"HOST": "x"})
    assert error.value.code == "bad-variable"


def test_only_a_lone_variable_is_one() -> None:
    found = [is_one_variable(text) for text in ("${A}", "${A:-1}", "${A}s", "$$", "a")]
    assert found == [True, True, False, False, False]
