"""Output topics: templates of the configuration, filled with values that are made safe."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from geoweir.codec.paths import TopicLevel
from geoweir.codec.percent import encode_level
from geoweir.errors import ConfigurationError, SenderError

__all__ = ["PLAIN_RECONCILE", "PLAIN_REJECTED", "TopicTemplate"]

_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")
_TOPIC_LEVEL: Final = re.compile(r"topic\[([0-9]{1,2})\]")
_UNFIT: Final = re.compile(r"[{}+#\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_LONGEST_TOPIC: Final = 65_535  # bytes
_MOST_LEVELS: Final = 100
_LONGEST_VALUE: Final = 128  # bytes, once encoded
_BATCH: Final = "batch"


class _Field(Enum):
    """A placeholder that is not a topic level."""

    STREAM = "stream"
    ID = "id"


_Part = str | TopicLevel | _Field


@dataclass(frozen=True, slots=True)
class TopicTemplate:
    """A parsed topic template; make one with ``parse``."""

    parts: tuple[_Part, ...]  # literal text and placeholders

    @classmethod
    def parse(cls, text: str) -> TopicTemplate:
        """Parses ``geoweir/{stream}/{id}``, where ``{topic[N]}`` is a level of the input's topic.

        Raises:
            ConfigurationError: for an unknown placeholder, a wildcard, a control character, an
                empty template, or one that gives more than 65,535 bytes or 100 levels.
        """
        pieces = _PLACEHOLDER.split(text)
        parts = [
            _placeholder(piece) if odd else _literal(piece)
            for number, piece in enumerate(pieces)
            for odd in (number % 2,)
            if odd or piece
        ]
        longest = len(text.encode()) + _LONGEST_VALUE * (len(pieces) // 2)
        if not parts or longest > _LONGEST_TOPIC or text.count("/") >= _MOST_LEVELS:
            raise ConfigurationError(
                f"The topic template must give 1 to {_LONGEST_TOPIC} bytes and at most"
                f" {_MOST_LEVELS} levels."
            )
        return cls(tuple(parts))

    def bind(self, stream: str) -> TopicTemplate:
        """The same template with the stream's name filled in, once for many renderings."""
        text = encode_level(stream, _LONGEST_VALUE)
        return TopicTemplate(tuple(text if part is _Field.STREAM else part for part in self.parts))

    def render(self, stream: str, id: str, address: str) -> str:  # noqa: A002 - the placeholder's name
        """The topic for one feature.

        Two ids never give the same topic where the template has ``{id}``. Every value is
        percent-encoded and at most 128 bytes (see ``codec.percent``), so that the result is a topic
        that any broker takes.

        Args:
            stream: the stream's name.
            id: the feature's id.
            address: the topic that the input came on.

        Raises:
            SenderError: ``topic`` when the input's topic has no such level.
        """
        return "".join([self._value(part, stream, id, address) for part in self.parts])

    def render_or_plain(self, plain: TopicTemplate, stream: str, id: str, address: str) -> str:  # noqa: A002
        """The topic for a message that must get out: by ``plain`` where a level is missing.

        ``plain`` has no placeholder but ``{stream}``.
        """
        try:
            return self.render(stream, id, address)
        except SenderError:
            return plain.render(stream, id, address)

    def render_batch(self, stream: str) -> str:
        """The topic for a whole chunk: everything but the stream's name is ``batch``."""
        return "".join(
            _BATCH
            if part is _Field.ID or isinstance(part, TopicLevel)
            else self._value(part, stream, "", "")
            for part in self.parts
        )

    @staticmethod
    def _value(part: _Part, stream: str, ident: str, address: str) -> str:
        if isinstance(part, str):
            return part
        if part is _Field.ID:
            return encode_level(ident, _LONGEST_VALUE)
        if part is _Field.STREAM:
            return encode_level(stream, _LONGEST_VALUE)
        level = part.get(None, address)
        if level is None:
            raise SenderError("topic", f"The input's topic has no level {part.level}.")
        return encode_level(level, _LONGEST_VALUE)


def _placeholder(name: str) -> _Part:
    if name in {field.value for field in _Field}:
        return _Field(name)
    level = _TOPIC_LEVEL.fullmatch(name)
    if level:
        return TopicLevel(int(level[1]))
    raise ConfigurationError(
        f"{{{name}}} is no placeholder of a topic. Write {{stream}}, {{id}} or {{topic[N]}}."
    )


def _literal(text: str) -> str:
    if _UNFIT.search(text):
        raise ConfigurationError(
            f"The topic template holds {text!a}: wildcards, braces and control characters can't"
            " stand in a topic that is published to."
        )
    return text


#: Where a message goes whose input lacks the topic level that the configured topic asks for.
PLAIN_REJECTED: Final = TopicTemplate.parse("geoweir/rejected/{stream}")
PLAIN_RECONCILE: Final = TopicTemplate.parse("geoweir/reconcile/{stream}")
