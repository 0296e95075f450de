"""Field paths of the configuration: where a value stands in a payload or in its topic.

``a.b.c`` names members of objects from the payload's root (in a FeatureCollection: from each
feature); a level of digits is an index where a list stands. ``{topic[N]}`` is the topic's level N,
counted from 0. A path is parsed once and then only followed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, Protocol

from geoweir.errors import ConfigurationError

__all__ = ["FieldPath", "PayloadPath", "TopicLevel", "list_index", "parse_path"]

_TOPIC_LEVEL: Final = re.compile(r"\{topic\[([0-9]{1,2})\]\}")

# A list index of more digits than this can't be within a payload.
_INDEX_DIGITS: Final = 9


class FieldPath(Protocol):
    """A place that a value is read from."""

    def get(self, document: object, address: str) -> Any:  # noqa: ANN401 - any JSON value
        """The value there, None where there is none (or null)."""
        ...


@dataclass(frozen=True, slots=True)
class TopicLevel:
    """One level of the topic, counted from 0."""

    level: int

    def get(self, document: object, address: str) -> str | None:  # noqa: ARG002 - see FieldPath
        """The level's text, None where the topic is shorter."""
        levels = address.split("/", self.level + 1)
        return levels[self.level] if self.level < len(levels) else None


@dataclass(frozen=True, slots=True)
class PayloadPath:
    """Members of objects and indices of lists, from the root inwards."""

    names: tuple[str, ...]

    def get(self, document: object, address: str) -> Any:  # noqa: ANN401, ARG002 - any JSON value
        """The value there, None where there is none (or null)."""
        value = document
        for name in self.names:
            if type(value) is dict:
                value = value.get(name)
            elif type(value) is list:
                value = _item(value, name)
            else:
                return None
        return value


def list_index(name: str) -> int | None:
    """The index that a path's level of digits means where a list stands."""
    is_index = name.isascii() and name.isdigit() and len(name) <= _INDEX_DIGITS
    return int(name) if is_index else None


def _item(values: list[Any], name: str) -> Any:  # noqa: ANN401 - any JSON value
    """The list's item at a level of digits, None otherwise."""
    index = list_index(name)
    return values[index] if index is not None and index < len(values) else None


def parse_path(text: str) -> PayloadPath | TopicLevel:
    """Parses one field path.

    Raises:
        ConfigurationError: when the text is neither ``{topic[N]}`` nor names joined by dots.
    """
    topic = _TOPIC_LEVEL.fullmatch(text)
    if topic:
        return TopicLevel(int(topic[1]))
    names = tuple(text.split("."))
    if "" in names or "{" in text or "}" in text:
        raise ConfigurationError(
            f"{text!r} is no field path. Write names joined by dots (properties.mmsi) or a topic"
            " level ({topic[1]})."
        )
    return PayloadPath(names)
