"""The pages hold together: links lead somewhere, all are in the site, every key has a text."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), DOCS.parent / "README.md", DOCS.parent / "CHANGELOG.md"])
PAGES = [page for page in PAGES if page.parent.name != "reference"]
_LINK = re.compile(r"\]\(([^)#\s]+)(#[^)\s]*)?\)")


def loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


reference = loaded(DOCS / "reference.py")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    targets = [target for target, _ in _LINK.findall(page.read_text(encoding="utf-8"))]
    inside = [target for target in targets if "://" not in target and "reference/" not in target]
    assert [target for target in inside if not (page.parent / target).exists()] == []


def test_every_page_is_in_the_site_once() -> None:
    text = (DOCS / "index.md").read_text(encoding="utf-8")
    listed = [
        line for block in re.findall(r"```\{toctree\}\n(.*?)```", text, re.DOTALL)
        for line in block.splitlines() if line and not line.startswith(":")
    ]  # fmt: skip
    pages = {str(page.relative_to(DOCS).with_suffix("")) for page in PAGES if DOCS in page.parents}
    made = {"reference/keys", "reference/commands", "reference/metrics", "reference/reasons"}
    assert sorted(listed) == sorted(pages - {"index"} | made)


def test_every_key_has_a_text_and_the_known_ones_are_there() -> None:
    rows = list(reference.key_rows(reference_schema()))
    assert [path for path, _, _, text in rows if not text] == []
    paths = {path for path, *_ in rows}
    assert {"memory", "pool.sandbox", "reload.watch", "streams.NAME.limits.payload"} <= paths


def reference_schema() -> dict[str, object]:
    from geoweir.settings.models.root import Config

    return Config.model_json_schema()


def test_every_metric_has_a_help() -> None:
    rows = list(reference.metric_rows())
    assert [name for name, _, text in rows if not text] == []
    assert "geoweir_unaccounted" in {name for name, *_ in rows}


def test_the_pages_are_made(tmp_path: Path) -> None:
    reference.write(tmp_path)
    made = {page.name: page.read_text(encoding="utf-8") for page in tmp_path.iterdir()}
    assert set(made) == {"keys.md", "commands.md", "metrics.md", "reasons.md"}
    assert "--with" not in made["keys.md"]
    assert "usage: geoweir run" in made["commands.md"]
    assert "`overflow`" in made["reasons.md"]
