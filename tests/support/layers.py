"""Layers as they come out of their sources, for tests that look at features."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from geoweir.spatial.compiling.clean import Kind
from geoweir.spatial.compiling.compile import Options, compile_layer
from geoweir.spatial.file.mapped import MappedFile
from geoweir.spatial.layer import Layer

__all__ = ["Said", "compiled_file", "compiled_layer", "memory_file"]

Said = list[tuple[str, Kind, str]]


@contextmanager
def memory_file() -> Iterator[int]:
    """The descriptor of a file in memory."""
    descriptor = os.memfd_create("layer")
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def compiled_file(source: Path, said: Said | None = None, **options: Any) -> MappedFile:
    """The layer file of a source; what was reported goes to ``said``."""
    heard: Said = [] if said is None else said
    with memory_file() as descriptor:
        compile_layer(
            str(source), descriptor, Options(**options), report=lambda *one: heard.append(one[:3])
        )
        return MappedFile(descriptor)


def compiled_layer(source: Path, **options: Any) -> Layer:
    """The layer of a source."""
    return Layer.open(source.stem, compiled_file(source, **options))
