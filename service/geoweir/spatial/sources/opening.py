"""Which reader a source needs."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from geoweir.spatial.sources.batch import Selection, Source
from geoweir.spatial.sources.geojson import GeoJsonSource
from geoweir.spatial.sources.ogr import OgrSource

__all__ = ["STANDARD_INPUT", "opened"]

STANDARD_INPUT: Final = "-"
_SEQUENCES: Final = (".geojsonl", ".geojsons", ".ndjson")
_DOCUMENTS: Final = (".geojson", ".json")


@contextlib.contextmanager
def opened(path: str, selection: Selection) -> Iterator[Source]:
    """A source, open: GeoJSON by its suffix, a text sequence from ``-``, all else through GDAL.

    Raises:
        ConfigurationError: it can't be opened, or is damaged where it begins.
    """
    if path == STANDARD_INPUT:
        yield GeoJsonSource("standard input", sys.stdin.buffer, selection, is_sequence=True)
        return
    name = path.lower().removesuffix(".gz")
    if name.endswith((*_SEQUENCES, *_DOCUMENTS)):
        is_sequence = name.endswith(_SEQUENCES)
        with GeoJsonSource.opened(Path(path), selection, is_sequence=is_sequence) as source:
            yield source
        return
    yield OgrSource(Path(path), selection)
