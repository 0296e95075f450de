"""What every worker has from birth: imported once by the forkserver, whose forks workers are.

Importing this module brings in what a chunk needs and loads the layers of the assignment whose
file ``PRELOAD_VARIABLE`` names. A worker for another assignment, or after a failure here, loads
its own.
PROJ transformers are not made here: their database handles must not cross a fork.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, cast

import numpy as np
import orjson
import pyproj
import shapely

from geoweir.core.spec import WorkerSpec
from geoweir.core.work import ChunkDone, ChunkWork
from geoweir.pool.frames import PRELOAD_VARIABLE, decode_assignment

__all__ = ["WARM", "Chain", "chains_for"]

#: What nearly every chunk goes through.
WARM: Final = (np, orjson, pyproj, shapely)

Layers = Mapping[str, Any]


class Chain(Protocol):
    """A stream's steps, ready to run."""

    def run(self, work: ChunkWork) -> ChunkDone:
        """Gives each input of the chunk its outcome."""
        ...


def chains_for(body: bytes) -> Sequence[Chain]:
    """One chain per stream of an assignment, on the forkserver's layers where they are the same."""
    assignment = decode_assignment(body)
    build, load = _seam(assignment.chains)
    layers = _warmed[body] if body in _warmed else load(assignment.spec)
    return build(assignment.spec, layers)


def _seam(
    path: str,
) -> tuple[Callable[[WorkerSpec, Layers], Sequence[Chain]], Callable[[WorkerSpec], Layers]]:
    module_name, _, function = path.partition(":")
    module = importlib.import_module(module_name)
    return getattr(module, function), cast("Callable[[WorkerSpec], Layers]", module.load_layers)


def _warm() -> dict[bytes, Layers]:
    path = os.environ.get(PRELOAD_VARIABLE)
    if path is None:
        return {}
    body = Path(path).read_bytes()
    assignment = decode_assignment(body)
    _, load = _seam(assignment.chains)
    return {body: load(assignment.spec)}


_warmed: dict[bytes, Layers] = {}
with contextlib.suppress(Exception):  # the worker meets the same fault, and reports it
    _warmed = _warm()
gc.collect()
gc.freeze()  # a collection in a worker would write on, and so copy, every shared page
