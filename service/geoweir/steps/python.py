"""The step ``python``: a user's own function on a chunk.

The function works on copies, and what it did is taken over only when it returned. So after an
exception nothing has changed, and each feature is tried again by itself on fresh copies: the
exception becomes the error of the feature that causes it alone.
"""

from __future__ import annotations

import errno
import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import shapely

from geoweir.codec.features import Features
from geoweir.errors import WorkerError
from geoweir.steps.copying import copied
from geoweir.steps.step import Indices, StepContext
from geoweir.steps.userchunk import UserChunk

__all__ = ["Python"]

_LONGEST_TEXT: Final = 300  # characters of a user's message that go into a result
_Function = Callable[[UserChunk], object]


class Python:
    """Calls ``module:function`` once with the chunk's features.

    Raises:
        WorkerError: the module or function can't be had; says why.
    """

    def __init__(self, options: dict[str, Any], context: StepContext) -> None:
        self._call: str = options["call"]
        _make_importable(context.module_path)
        self._function = _imported(self._call)

    def run(self, features: Features) -> None:
        """Takes over properties, geometries, drops and fails."""
        alive = features.alive()
        if alive.size and not self._attempt(features, alive):
            for position in range(len(alive)):
                self._alone(features, alive[position : position + 1])

    def _attempt(self, features: Features, some: Indices) -> bool:
        """Whether all the features together went well; nothing has changed where not."""
        try:
            chunk = _chunk_of(features, some)
            self._function(chunk)
            _take_over(features, some, chunk)
        except MemoryError:
            raise
        except BaseException:  # noqa: BLE001 - users' code, SystemExit and pyo3's panics included
            return False
        return True

    def _alone(self, features: Features, index: Indices) -> None:
        try:
            chunk = _chunk_of(features, index)
            self._function(chunk)
            _take_over(features, index, chunk)
        except MemoryError:
            raise
        except BaseException as error:  # noqa: BLE001 - as above
            features.errors[index[0]] = _shortened(f"{self._call}: {_described(error)}")


def _chunk_of(features: Features, some: Indices) -> UserChunk:
    return UserChunk(
        ids=[features.ids[index] for index in some],
        properties=[copied(features.properties[index]) for index in some],
        geometry=features.geometry[some],
        crs=features.crs,
    )


def _take_over(features: Features, some: Indices, chunk: UserChunk) -> None:
    """Writes the chunk's columns back; a value of the wrong type is its feature's error."""
    properties, geometry = chunk.properties, chunk.geometry
    if len(properties) != len(some) or len(geometry) != len(some):
        raise ValueError(
            f"the chunk has {len(some)} features, but {len(properties)} properties and"
            f" {len(geometry)} geometries came back"
        )
    fits = shapely.is_geometry(geometry) | shapely.is_missing(geometry)
    for position, index in enumerate(some.tolist()):
        if position in chunk.failed:
            features.errors[index] = _shortened(chunk.failed[position])
        elif position in chunk.dropped:
            features.filtered[index] = "step"
        elif not isinstance(properties[position], dict):
            kind = type(properties[position]).__name__
            features.errors[index] = f"properties must be a dict, but the step left a {kind}"
        elif not fits[position]:
            kind = type(geometry[position]).__name__
            features.errors[index] = f"geometry must be shapely's, but the step left a {kind}"
        else:
            features.properties[index] = properties[position]
            features.geometry[index] = geometry[position]


def _make_importable(module_path: str | None) -> None:
    if module_path is not None and module_path not in sys.path:
        sys.path.insert(0, module_path)


def _imported(call: str) -> _Function:
    module_name, separator, function_name = call.partition(":")
    if not (module_name and separator and function_name):
        raise WorkerError(f"python: {call!r} does not name a function. Write module:function.")
    try:
        found: Any = importlib.import_module(module_name)
        for name in function_name.split("."):
            found = getattr(found, name)
    except MemoryError:
        raise
    except BaseException as error:
        raise WorkerError(
            f"python: {call} can't be imported: {_described(error)}. "
            "The module must stand beside the configuration file or be installed."
        ) from error
    if not callable(found) or inspect.iscoroutinefunction(found):
        raise WorkerError(f"python: {call} is not a plain function. Give one that takes a chunk.")
    function: _Function = found
    return function


def _described(error: BaseException) -> str:
    """The kind, the text and the line of the user's code, on one line."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 - an exception whose own text fails
        text = ""
    described = type(error).__name__ + (f": {text}" if text else "")
    if isinstance(error, PermissionError) and error.errno == errno.EPERM:
        described += " (a worker may not; pool.sandbox: off lets it)"
    return described + _line_of(error)


def _line_of(error: BaseException) -> str:
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    if traceback is None or traceback.tb_frame.f_code.co_filename == __file__:
        return ""
    return f" ({Path(traceback.tb_frame.f_code.co_filename).name}:{traceback.tb_lineno})"


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"
