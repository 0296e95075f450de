"""Layers given as plain sources, compiled once into files named by what they were made of."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Final

from geoweir.core.spec import LayerSpec
from geoweir.errors import ConfigurationError
from geoweir.spatial.file.format import FORMAT
from geoweir.spatial.layerfile import LayerFeatures, write_layer
from geoweir.spatial.source import read_source

__all__ = ["compiled"]

_READ: Final = 1 << 20


def compiled(spec: LayerSpec) -> Path:
    """The compiled form of a layer's plain source, made now if it isn't there yet.

    Raises:
        ConfigurationError: the source can't be read, or there is no folder to write to.
    """
    digest = hashlib.blake2b(f"{FORMAT}\0{spec.crs}\0".encode(), digest_size=16)
    try:
        with Path(spec.path).open("rb") as source:
            while part := source.read(_READ):
                digest.update(part)
        folder = _folder()
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"{digest.hexdigest()}.gwl"
        if not target.exists():
            found = read_source(spec.path)
            given = LayerFeatures(found.ids, found.properties, found.geometries, found.repaired)
            write_layer(target, spec.crs, given, Path(spec.path).name)
    except OSError as error:
        raise ConfigurationError(f"{error.filename}: {error.strerror}") from error
    return target


def _folder() -> Path:
    root = os.environ.get("GEOWEIR_CACHE") or os.environ.get("XDG_CACHE_HOME")
    return Path(root or tempfile.gettempdir()) / "geoweir-layers"
