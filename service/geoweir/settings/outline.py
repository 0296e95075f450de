"""Which keys are valid where, and the place that an unknown key was meant for."""

from __future__ import annotations

from difflib import SequenceMatcher
from functools import cache
from typing import Any, Final

from geoweir.settings.faults import KeyPath, path_text
from geoweir.settings.schema import json_schema
from geoweir.settings.unbuilt import UNBUILT_STEPS

__all__ = ["description", "keys", "remedy_for_unknown"]

_Node = dict[str, Any]

_CLOSE: Final = 0.75  # of difflib's ratio: surely a slip of the pen
_SIMILAR: Final = 0.55
_LONGEST_KEY: Final = 64  # characters; longer keys resemble none
_MOST_NAMED: Final = 24


@cache
def _schema() -> _Node:
    return json_schema()


def _resolved(node: _Node) -> _Node:
    """A node behind its references, and behind ``or null``."""
    while "$ref" in node:
        node = _schema()["$defs"][node["$ref"].rsplit("/", 1)[1]]
    for option in node.get("anyOf", ()):
        found = _resolved(option)
        if "properties" in found or "items" in found:
            return found
    return node


def _inner(node: _Node, part: str | int) -> _Node | None:
    if isinstance(part, int):
        found = node.get("items")
    else:
        found = node.get("properties", {}).get(part, node.get("additionalProperties"))
    return _resolved(found) if isinstance(found, dict) else None


def _node(path: KeyPath) -> _Node:
    """The schema at a path; empty where there is none."""
    node = _resolved(_schema())
    for part in path:
        inner = _inner(node, part)
        if inner is None:
            return {}
        node = inner
    return node


def keys(path: KeyPath) -> list[str]:
    """The keys of the section at a path; none for a mapping of free names."""
    return list(_node(path).get("properties", {}))


def description(path: KeyPath) -> str:
    """What the setting at a path is for."""
    found = _node(path[:-1]).get("properties", {}).get(path[-1], {}) if path else {}
    return str(found.get("description") or _resolved(found).get("description", ""))


def remedy_for_unknown(path: KeyPath) -> str:
    """What to do about an unknown key: the nearest valid one, or where it would be valid."""
    key, section = str(path[-1]), path[:-1]
    valid = [name for name in keys(section) if name not in UNBUILT_STEPS]
    nearest = max(valid, key=lambda name: _likeness(key, name), default="")
    likeness = _likeness(key, nearest)
    place = None if likeness >= _CLOSE else _place_of(key, section)
    if place is not None:
        where = f'in "{path_text(place)}"' if place else "at the top of the file"
        return f"It is valid {where}; move it there."
    if likeness >= _SIMILAR:
        return f'The nearest valid key here is "{nearest}".'
    if not valid:
        return "Remove it."
    more = ", …" if len(valid) > _MOST_NAMED else ""
    return f"Valid keys here: {', '.join(valid[:_MOST_NAMED])}{more}."


def _likeness(key: str, name: str) -> float:
    if not name or len(key) > _LONGEST_KEY:
        return 0.0
    return SequenceMatcher(None, key.lower().replace("-", "_"), name).ratio()


def _place_of(key: str, section: KeyPath) -> KeyPath | None:
    """The section below, around or beside ``section`` that knows the key."""
    candidates = [*_sections(section)]
    for length in range(len(section) - 1, -1, -1):
        candidates.append(section[:length])
        candidates += _sections(section[:length])
    return next((place for place in candidates if key in keys(place)), None)


def _sections(path: KeyPath) -> list[KeyPath]:
    """The sections right below a path; a mapping of free names stands as NAME."""
    found: list[KeyPath] = []
    for name in keys(path):
        inner = (*path, name)
        found.append(inner)
        if isinstance(_node(inner).get("additionalProperties"), dict):
            found.append((*inner, "NAME"))
    return found
