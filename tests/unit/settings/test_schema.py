from collections.abc import Iterator
from typing import Any

from geoweir.settings.outline import keys
from geoweir.settings.schema import json_schema


def _properties(node: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        yield from node.get("properties", {}).items()
        for inner in node.values():
            yield from _properties(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _properties(inner)


def test_every_setting_has_a_description() -> None:
    schema = json_schema()
    named = list(_properties(schema))
    assert len(named) > 100
    for name, node in named:  # a setting that says what its section says leaves it to the section
        section = schema["$defs"].get(node.get("$ref", "").rsplit("/", 1)[-1], {})
        assert node.get("description") or section.get("description"), name


def test_every_section_is_closed() -> None:
    sections = [node for node in json_schema()["$defs"].values() if "properties" in node]
    assert sections
    assert all(node["additionalProperties"] is False for node in sections)


def test_defaults_are_written_with_units() -> None:
    pool = json_schema()["$defs"]["Pool"]["properties"]
    assert (pool["timeout"]["default"], pool["memory"]["default"]) == ("4s", "150MB")


def test_editors_see_the_names_of_the_file() -> None:
    assert {"validate", "join", "fence"} <= set(keys(("streams", "x", "steps", 0)))
    assert {"in", "not_in", "above"} <= set(keys(("streams", "x", "steps", 0, "where")))
