"""Makes the reference pages from the code: configuration keys, commands, metrics, reasons."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["commands", "keys", "metrics", "reasons", "write"]


def write(folder: Path) -> None:
    """Writes every page; only what changed, so that a build is quick."""
    folder.mkdir(exist_ok=True)
    pages = {"keys": keys(), "commands": commands(), "metrics": metrics(), "reasons": reasons()}
    for name, text in pages.items():
        path = folder / f"{name}.md"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


# Configuration.


def keys() -> str:
    """Every key with its type, its default and its text, from the models."""
    from geoweir.settings.models.root import Config

    schema = Config.model_json_schema()
    rows = "\n".join(
        f"| `{path}` | {_cell(kind)} | {_cell(default)} | {_cell(text)} |"
        for path, kind, default, text in key_rows(schema)
    )
    return (
        "# Configuration keys\n\n"
        "Made from the models. `NAME` is a name of yours, `[]` an element of a list. What the "
        "parts mean together: [configuration.md](../configuration.md).\n\n"
        f"| key | type | default | what |\n| --- | --- | --- | --- |\n{rows}\n"
    )


def key_rows(schema: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Path, type, default and text of each key of a JSON schema."""
    yield from _rows(schema, schema.get("$defs", {}), "", ())


def _rows(
    node: Mapping[str, Any], definitions: Mapping[str, Any], path: str, above: tuple[str, ...]
) -> Iterator[tuple[str, str, str, str]]:
    needed = set(node.get("required", ()))
    for name, one in node.get("properties", {}).items():
        here = f"{path}.{name}" if path else name
        default = "required" if name in needed else _default(one)
        yield here, _type(one, definitions), default, _text(one, definitions)
        for inner, suffix in _inner(one):
            reference = inner.get("$ref", "").rpartition("/")[2]
            if reference and reference not in above:
                below = (*above, reference)
                yield from _rows(definitions[reference], definitions, here + suffix, below)


def _inner(node: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], str]]:
    """The models that a value may be, with what its path gets."""
    if "$ref" in node:
        yield node, ""
    for one in (*node.get("anyOf", ()), *node.get("allOf", ()), *node.get("oneOf", ())):
        yield from _inner(one)
    if isinstance(node.get("additionalProperties"), dict):
        for one, suffix in _inner(node["additionalProperties"]):
            yield one, f".NAME{suffix}"
    if isinstance(node.get("items"), dict):
        for one, suffix in _inner(node["items"]):
            yield one, f"[]{suffix}"


def _type(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:  # noqa: PLR0911 - one for each kind
    if "enum" in node:
        return ", ".join(map(str, node["enum"]))
    if "const" in node:
        return str(node["const"])
    for together in ("anyOf", "oneOf", "allOf"):
        if together in node:
            return " or ".join(dict.fromkeys(_type(one, definitions) for one in node[together]))
    if "$ref" in node:
        target = definitions[node["$ref"].rpartition("/")[2]]
        return _type(target, definitions) if "enum" in target else "section"
    if node.get("type") == "array":
        return f"list of {_type(node.get('items', {}), definitions)}"
    if node.get("type") == "object":
        return "section" if "properties" in node else "by name"
    return str(node.get("type", "any"))


def _default(node: Mapping[str, Any]) -> str:
    value = node.get("default", "")
    if isinstance(value, dict | list):
        return ""
    return (
        "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )


def _text(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    said = node.get("description") or next(
        (
            definitions[one["$ref"].rpartition("/")[2]].get("description", "")
            for one in (node, *node.get("anyOf", ()))
            if "$ref" in one
        ),
        "",
    )
    return " ".join(said.split())


# Commands.


def commands() -> str:
    """The help of every command, as it prints it."""
    from geoweir.cli.command import _COMMANDS

    parts = [f"## geoweir {name}\n\n```text\n{_help(name)}\n```\n" for name in _COMMANDS]
    return "# Commands\n\nEach as its `--help` says it.\n\n" + "\n".join(parts)


def _help(name: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "geoweir", name, "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={"COLUMNS": "100", "NO_COLOR": "1", "PYTHONPATH": ":".join(sys.path)},
    )
    return done.stdout.rstrip()


# Metrics.


def metrics() -> str:
    """Every metric family of a service that has received nothing."""
    rows = "\n".join(f"| `{name}` | {kind} | {_cell(text)} |" for name, kind, text in metric_rows())
    return (
        "# Metrics\n\n"
        "At `/metrics`, in Prometheus's text format. Labels come from the configuration and from "
        "closed lists only.\n\n"
        f"| metric | type | what |\n| --- | --- | --- |\n{rows}\n"
    )


def metric_rows() -> Iterator[tuple[str, str, str]]:
    """Name, type and help of each."""
    from geoweir.telemetry.merged import read

    page = read(_empty_page())
    for name, family in page.items():
        yield name, family.kind, family.help


def _empty_page() -> bytes:
    from geoweir.telemetry.exposition import render
    from geoweir.telemetry.metrics import Metrics
    from geoweir.telemetry.snapshot import Snapshot

    return render(
        Metrics(streams={}, version="0"), Snapshot(streams={}, in_flight={}, unaccounted=0)
    )


# Reasons.


def reasons() -> str:
    """Every outcome with the reasons that an input can have it for."""
    from geoweir.core.outcome import REASONS

    rows = "\n".join(
        f"| {outcome.value} | {', '.join(f'`{one}`' for one in names if one) or 'no reason'} |"
        for outcome, names in REASONS.items()
    )
    return (
        "# Outcomes and reasons\n\n"
        "The closed lists of `geoweir_outcomes_total{outcome, reason}`; what each means: "
        "[outcomes.md](../outcomes.md).\n\n"
        f"| outcome | reasons |\n| --- | --- |\n{rows}\n"
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
