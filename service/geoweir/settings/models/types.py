"""The kinds of values that the configuration's sections are made of.

Each refuses in a plain sentence: pydantic's own words reach no user.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Final, LiteralString

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
)
from pydantic_core import PydanticCustomError, core_schema

from geoweir.codec.paths import TopicLevel, parse_path
from geoweir.errors import ConfigurationError
from geoweir.settings.units import (
    DURATION_PATTERN,
    SIZE_PATTERN,
    UnitError,
    duration_text,
    read_duration,
    read_size,
    size_text,
)

__all__ = [
    "AutoOrCount",
    "AutoOrNumber",
    "FieldNames",
    "FieldPathText",
    "Kind",
    "Name",
    "Ordered",
    "ProtocolText",
    "Qos",
    "Range",
    "Scalar",
    "Section",
    "Text",
    "TopicLevelText",
    "duration",
    "is_number",
    "refusal",
    "size",
]

_JsonSchema = dict[str, Any]


class Section(BaseModel):
    """A mapping of the configuration: its keys are closed, its values strict and frozen."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
        populate_by_name=False,
    )


def refusal(
    what: str,
    help: str,  # noqa: A002 - the word that faults use
    code: LiteralString = "bad-value",
) -> PydanticCustomError:
    """An error whose sentences and code are ours."""
    return PydanticCustomError(code, "{what}", {"what": what, "help": help, "is_ours": True})


@dataclass(frozen=True, slots=True, eq=False)  # equal by identity: metadata must have a hash
class Kind:
    """A value that one function reads, with the JSON Schema that says the same to editors."""

    read: Callable[[object], object]  # raises what ``refusal`` gives
    schema: _JsonSchema
    write: Callable[[Any], object] | None = None  # a value as the configuration writes it

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Makes pydantic call ``read`` and nothing else."""
        write = self.write
        as_written = (
            None if write is None else core_schema.plain_serializer_function_ser_schema(write)
        )
        return core_schema.no_info_plain_validator_function(self.read, serialization=as_written)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> _JsonSchema:
        """Gives ``schema`` to editors."""
        return dict(self.schema)


def duration(least: str, most: str) -> Kind:
    """Seconds, written with a unit, between two bounds."""
    return Kind(
        partial(_within, read_duration, least, most),
        {"type": "string", "pattern": f"^{DURATION_PATTERN}$", "examples": [most]},
        duration_text,
    )


def size(least: str, most: str) -> Kind:
    """Bytes, written with a unit, between two bounds."""
    return Kind(
        partial(_within, read_size, least, most),
        {"type": "string", "pattern": f"^{SIZE_PATTERN}$", "examples": [most]},
        size_text,
    )


def _within(read: Callable[[object], float], least: str, most: str, value: object) -> float:
    try:
        number = read(value)
    except UnitError as error:
        raise refusal(str(error), error.help) from None
    if not read(least) <= number <= read(most):
        raise refusal("this is out of range.", f"Write {least} to {most}.", "out-of-range")
    return number


def is_number(value: object) -> bool:
    """Whether a value is a number that can be reckoned with."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _HUGE


_HUGE: Final = 1e300
_MOST_WORKERS: Final = 64


def _auto_or_count(value: object) -> int | None:
    if value == "auto":
        return None
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _MOST_WORKERS:
        return value
    raise refusal(
        "this is neither auto nor a usable count.", f"Write auto or 1 to {_MOST_WORKERS}."
    )


def _auto_or_number(value: object) -> object:
    if value == "auto" or is_number(value):
        return value
    raise refusal(
        "this is neither auto nor a number.", "Write auto or degrees Celsius, such as 75."
    )


def _scalar(value: object) -> object:
    if isinstance(value, str | bool) or is_number(value):
        return value
    raise refusal("this is no single value.", "Write a text, a finite number, true or false.")


def _ordered(value: object) -> object:
    if isinstance(value, str) or is_number(value):
        return value
    raise refusal("this can't be compared.", "Write a finite number or a text.")


def _range(value: object) -> tuple[float, float]:
    is_pair = isinstance(value, list) and len(value) == 2 and all(map(is_number, value))  # noqa: PLR2004
    if not (isinstance(value, list) and is_pair and value[0] <= value[1]):
        raise refusal("this is no range.", "Write [LOWEST, HIGHEST], such as [0, 100].")
    return float(value[0]), float(value[1])


AutoOrCount = Annotated[
    int | None,
    Kind(
        _auto_or_count,
        {"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1, "maximum": _MOST_WORKERS}]},
    ),
]
AutoOrNumber = Annotated[
    str | float, Kind(_auto_or_number, {"anyOf": [{"const": "auto"}, {"type": "number"}]})
]
Scalar = Annotated[
    str | int | float | bool, Kind(_scalar, {"type": ["string", "number", "boolean"]})
]
Ordered = Annotated[str | int | float, Kind(_ordered, {"type": ["string", "number"]})]
Range = Annotated[
    tuple[float, float],
    Kind(_range, {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}),
]
Qos = Annotated[int, Field(ge=0, le=2)]
Text = Annotated[str, Field(min_length=1, max_length=4096)]

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise refusal(
            "this name is not usable in topics, metrics and properties.",
            "Write 1 to 64 letters, digits, - and _, beginning with a letter or digit.",
            "bad-name",
        )
    return value


def _path(value: str) -> str:
    try:
        parse_path(value)
    except ConfigurationError:
        raise refusal(
            "this is no field path.",
            "Write names joined by dots (properties.mmsi) or a topic level in quotes"
            ' ("{topic[1]}").',
        ) from None
    return value


def _topic_level(value: str) -> str:
    if isinstance(parse_path(_path(value)), TopicLevel):
        return value
    raise refusal("this is no level of the topic.", 'Write one in quotes: "{topic[1]}".')


Name = Annotated[str, AfterValidator(_name)]
TopicLevelText = Annotated[Text, AfterValidator(_topic_level)]
FieldPathText = Annotated[Text, AfterValidator(_path)]
FieldNames = Annotated[list[Text], Field(max_length=1000)]


def _protocol(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


#: ``protocol: 5`` is a number to YAML.
ProtocolText = BeforeValidator(_protocol)
