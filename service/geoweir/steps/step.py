"""What a step is, and what it is told when it is made.

A step works in place on the features of one chunk that are still alive. What goes wrong with one
feature is that feature's own error; the others never notice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from shapely.errors import ShapelyError

from geoweir.codec.features import Features
from geoweir.core.spec import Reference, StreamSpec
from geoweir.errors import ConfigurationError
from geoweir.spatial.crs import KnownCrs
from geoweir.spatial.file.format import SHORT
from geoweir.spatial.layer import Layer, TooComplexError
from geoweir.spatial.raster.raster import Raster

__all__ = ["Indices", "Step", "StepContext", "singly"]

Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepContext:
    """What every step of a stream may use.

    Attributes:
        stream: the stream.
        layers: the layers of the configuration, by name.
        rasters: the rasters of the configuration, by name.
        crs: the CRSs that the configuration names.
        module_path: folder of the configuration, where users' modules are.
        used: what steps have asked for.
    """

    stream: StreamSpec
    layers: Mapping[str, Layer]
    crs: KnownCrs
    rasters: Mapping[str, Raster] = field(default_factory=dict)
    module_path: str | None = None
    used: dict[Reference, Layer | Raster] = field(default_factory=dict)

    def layer(self, name: str) -> Layer:
        """A layer by its name; ConfigurationError where there is none."""
        try:
            layer = self.used[Reference("layer", name)] = self.layers[name]
        except KeyError:
            known = ", ".join(self.layers) or "none"
            raise ConfigurationError(
                f"stream {self.stream.name}: no layer is named {name!r}. Layers: {known}."
            ) from None
        return layer

    def raster(self, name: str) -> Raster:
        """A raster by its name; ConfigurationError where there is none."""
        try:
            raster = self.used[Reference("raster", name)] = self.rasters[name]
        except KeyError:
            known = ", ".join(self.rasters) or "none"
            raise ConfigurationError(
                f"stream {self.stream.name}: no raster is named {name!r}. Rasters: {known}."
            ) from None
        return raster

    def versions(self) -> dict[Reference, str]:
        """The version of all that steps have asked for; a GeoTIFF read in parts has none."""
        return {one: used.version[:SHORT] for one, used in self.used.items() if used.version}


class Step(Protocol):
    """One step of a stream, made once per worker."""

    def __init__(self, options: dict[str, Any], context: StepContext) -> None: ...

    def run(self, features: Features) -> None:
        """Works in place on the features that are alive."""
        ...


def singly(features: Features, indices: Indices, work: Callable[[Indices], None]) -> None:
    """Does ``work`` on all the features at once; where GEOS gives up, on each one by itself.

    So only the culprit gets the error. ``work`` must change nothing before it can no longer fail.

    Raises:
        MemoryError: GEOS ran out of memory, whatever it called it: the worker's to report.
    """
    try:
        work(indices)
    except (ShapelyError, TooComplexError) as error:
        _reraise_exhaustion(error)
        for position in range(len(indices)):
            _alone(features, indices[position : position + 1], work)


def _alone(features: Features, index: Indices, work: Callable[[Indices], None]) -> None:
    try:
        work(index)
    except (ShapelyError, TooComplexError) as error:
        _reraise_exhaustion(error)
        features.errors[index[0]] = " ".join(str(error).split())


def _reraise_exhaustion(error: Exception) -> None:
    if "bad_alloc" in str(error):
        raise MemoryError from error
