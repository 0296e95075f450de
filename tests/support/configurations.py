"""Configurations in a folder of their own, with the layers that they name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

from geoweir.settings.load import Loaded, load

SQUARE = (
    '{"type": "Feature", "id": "1", "properties": {"name": "a"}, "geometry": {"type": "Polygon",'
    ' "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]}}'
)


class Folder:
    """A folder with a layer ``zones.geojson``, where configurations are written and loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.write("zones.geojson", SQUARE)

    def write(self, name: str, text: str) -> Path:
        """Writes a file and gives its path."""
        path = self.path / name
        path.write_text(text, encoding="utf-8")
        return path

    def load(self, text: str, environ: Mapping[str, str] | None = None) -> Loaded:
        """Loads a configuration, indented as it may be."""
        return load(self.write("gw.yaml", dedent(text)), environ or {})


def codes(loaded: Loaded) -> list[tuple[int, str, str]]:
    """Line, path and code of each fault."""
    return [(fault.line, fault.path, fault.code) for fault in loaded.faults]
