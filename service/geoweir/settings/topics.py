"""Topic filters and output topics: which are valid, and which would feed the service itself."""

from __future__ import annotations

import re
from typing import Final

__all__ = [
    "address_filter",
    "can_match",
    "filter_problem",
    "guaranteed_levels",
    "template_problem",
    "topic_levels",
]

_LONGEST: Final = 65_535  # bytes
_MOST_LEVELS: Final = 100
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_SHARE: Final = "$share/"
_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")
_KNOWN: Final = re.compile(r"stream|id|topic\[([0-9]{1,2})\]")


def address_filter(text: str) -> str:
    """The filter that addresses are matched with: without ``$share/group/``."""
    return text.split("/", 2)[2] if text.startswith(_SHARE) and text.count("/") > 1 else text


def filter_problem(text: str) -> str | None:
    """Why a text is no topic filter; None when it is one."""
    if text.startswith(_SHARE):
        group, _, rest = text.removeprefix(_SHARE).partition("/")
        if not group or not rest or "+" in group or "#" in group:
            return "a shared subscription is $share/GROUP/FILTER, with no wildcard in GROUP"
        text = rest
    levels = text.split("/")
    if not text or len(text.encode(errors="replace")) > _LONGEST or len(levels) > _MOST_LEVELS:
        return f"it must have 1 to {_LONGEST} bytes and at most {_MOST_LEVELS} levels"
    if _CONTROL.search(text):
        return "it holds a control character"
    if any("+" in level and level != "+" for level in levels):
        return "+ must stand alone between slashes"
    if any("#" in level for level in levels[:-1]) or ("#" in levels[-1] and levels[-1] != "#"):
        return "# must stand alone at the end"
    return None


def template_problem(text: str) -> str | None:
    """Why a text is no template of an output topic; None when it is one."""
    literal = _PLACEHOLDER.sub("", text)
    names = _PLACEHOLDER.findall(text)
    if any(not _KNOWN.fullmatch(name) for name in names) or "{" in literal or "}" in literal:
        return "its placeholders can only be {stream}, {id} and {topic[N]}"
    if "+" in literal or "#" in literal:
        return "a topic that is published to has no wildcard (+ or #)"
    if _CONTROL.search(literal):
        return "it holds a control character"
    if text.startswith(("$share/", "$SYS/")):
        return "brokers keep topics that begin so for themselves"
    size = len(text.encode(errors="replace")) + 128 * len(names)
    if not text or size > _LONGEST or text.count("/") >= _MOST_LEVELS:
        return f"it must give 1 to {_LONGEST} bytes and at most {_MOST_LEVELS} levels"
    return None


def topic_levels(template: str) -> list[int]:
    """The numbers N of its placeholders ``{topic[N]}``."""
    found = [_KNOWN.fullmatch(name) for name in _PLACEHOLDER.findall(template)]
    return [int(one[1]) for one in found if one is not None and one[1] is not None]


def guaranteed_levels(address: str) -> int:
    """How many levels every topic has that a filter (without ``$share``) matches."""
    levels = address.split("/")
    return len(levels) - (levels[-1] == "#")


def can_match(address: str, template: str, stream: str) -> bool:
    """Whether a topic made of a template could match a filter (without ``$share``).

    The stream's name is known; every other placeholder is one arbitrary part of one level. A
    wildcard at the start does not match topics that begin with ``$``, and values never do.
    """
    wanted = address.split("/")
    given = template.replace("{stream}", stream).split("/")
    if given[0].startswith("$") and wanted[0] in {"+", "#"}:
        return False
    is_open = wanted[-1] == "#"  # "a/#" matches "a" too
    fixed = wanted[:-1] if is_open else wanted
    if len(given) < len(fixed) or (len(given) > len(fixed) and not is_open):
        return False
    return all(
        level == "+" or _could_be(one, level) for level, one in zip(fixed, given, strict=False)
    )


def _could_be(template: str, level: str) -> bool:
    """Whether a level with placeholders can become a text: literal parts in order, ends fixed.

    Every placeholder gives one character or more.
    """
    first, *others = _PLACEHOLDER.split(template)[::2]
    if not others:
        return first == level
    if not level.startswith(first) or not level.endswith(others[-1]):
        return False
    position = len(first) + 1
    for part in others[:-1]:
        found = level.find(part, position)
        if found < 0:
            return False
        position = found + len(part) + 1
    return position + len(others[-1]) <= len(level)
