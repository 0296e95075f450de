"""What reads a layer file, each way once: nothing of it may crash, hang or read elsewhere.

A driver opens the file as the service and its workers do and asks it everything that there is to
ask. A damaged file may be refused, or give wrong answers.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import shapely
from shapely.errors import ShapelyError

from geoweir.app.layers.opening import open_path
from geoweir.core.spec import REFERENCE_KINDS
from geoweir.errors import GeoweirError
from geoweir.spatial.attributes import Attributes
from geoweir.spatial.file.format import LayerFileError, read_header, verify
from geoweir.spatial.file.mapped import MappedFile
from geoweir.spatial.layer import Layer, Match, Predicate
from geoweir.spatial.layerfile import ragged_of
from geoweir.spatial.raster.raster import Raster
from geoweir.spatial.raster.request import Request
from geoweir.spatial.segments import SegmentIndex

__all__ = ["DRIVERS", "CopiedFile"]

_Rng = np.random.Generator


class CopiedFile(MappedFile):
    """Gives each section in memory of its own, just as long as it is.

    So a sanitizer sees a read beyond a section, which within the map would go unseen.
    """

    def array(self, name: str, dtype: str, columns: int = 1) -> npt.NDArray[Any]:
        """See MappedFile."""
        made: npt.NDArray[Any] = super().array(name, dtype, columns).copy()
        made.setflags(write=False)
        return made


def _container(path: Path, rng: _Rng) -> None:
    """The first page, every section's digest, and every value of every section."""
    del rng
    with path.open("rb") as file:
        header = read_header(file.fileno())
        verify(file.fileno(), header)
    mapped = MappedFile.open(path)
    for section in header.sections.values():
        mapped.array(section.name, section.dtype, section.columns).max(initial=0)
        mapped.advise(section.name, "random")


def _service(path: Path, rng: _Rng) -> None:
    """As the service opens it, which has no map and no numpy."""
    del rng
    for kind in REFERENCE_KINDS:
        with contextlib.suppress(LayerFileError):
            os.close(open_path(path, kind, whole=True).descriptor)


def _attributes(path: Path, rng: _Rng) -> None:
    """Ids and every field, of all features and of some."""
    file = CopiedFile.open(path)
    attributes, count = Attributes.open(file), len(file.array("source", "<u4"))
    for some in (np.arange(count), rng.integers(0, count, 20 if count else 0)):
        each(
            partial(attributes.ids, some),
            *(partial(attributes.values, field, some) for field in attributes.fields),
        )


def _layer(path: Path, rng: _Rng) -> None:
    """Joins of points and shapes by every predicate, and attributes of what was found."""
    layer = Layer.open("layer", CopiedFile.open(path))
    for asked in (_points(rng), _shapes(rng)):
        each(
            *(
                partial(_join, layer, asked, predicate, match)
                for predicate in ("within", "intersects")
                for match in ("first", "all")
            )
        )
    some = np.arange(min(len(layer), 50))
    each(
        partial(layer.geometries, some),
        partial(layer.locate, rng.uniform(-10, 10, (300, 2)), "within", "all"),
        *(partial(layer.column(field).values, some) for field in ["id", *layer.fields]),
    )


def _join(layer: Layer, asked: npt.NDArray[np.object_], predicate: Predicate, match: Match) -> None:
    _, theirs = layer.join(asked, predicate, match)
    each(*(partial(layer.column(field).values, theirs) for field in ["id", *layer.fields]))


def _points(rng: _Rng) -> npt.NDArray[np.object_]:
    """Near and far ones, some on the corners of what the corpus holds, an empty one and none."""
    places = rng.uniform(-12, 12, (80, 2))
    places[:20] = places[:20].round()
    places[20:30] *= [20, 10]
    others: list[Any] = [shapely.Point(), shapely.Point(1e300, -1e300), shapely.Point(0, 0), None]
    made = [*map(shapely.Point, places), *others]
    points: npt.NDArray[np.object_] = np.empty(len(made), dtype=object)
    points[:] = made
    return points


def _segments(path: Path, rng: _Rng) -> None:
    """The nearest segments within several distances."""
    file = CopiedFile.open(path)
    index = SegmentIndex.open(file, ragged_of(file), "EPSG:4326")
    places = rng.uniform(-12, 12, (60, 2))
    places[:10] *= [20, 8]
    places[:4] = np.array([(np.nan, 0), (0, np.inf), (180, 90), (-540, -90)])
    each(*(partial(index.nearest, places, reach) for reach in (0.0, 100.0, 1e5, 1e6)))


def _raster(path: Path, rng: _Rng) -> None:
    """Values at points by both methods, and statistics of every kind."""
    raster = Raster.mapped("raster", CopiedFile.open(path))
    grid = raster.pixels.grid
    places = rng.uniform(-10, 10, (60, 2))
    places[:3] = [[np.nan, 0], [np.inf, 0], [1e300, -1e300]]
    shapes = _shapes(rng)
    for band in range(1, min(len(raster.pixels.bands), 3) + 1):
        each(
            partial(raster.values_at, places, "nearest", band),
            partial(raster.values_at, places, "bilinear", band),
            *(
                partial(
                    raster.zonal,
                    shapes,
                    Request(band=band - 1, majority=few, all_touched=touched, limit=100_000),
                )
                for few in (False, True)
                for touched in (False, True)
            ),
        )
    grid.pixels(places)


def _shapes(rng: _Rng) -> npt.NDArray[np.object_]:
    """What a layer or raster is asked about."""
    places, far = rng.uniform(-6, 6, (4, 2)), rng.uniform(-200, 200, (2, 2))
    circles = [shapely.Point(place).buffer(rng.uniform(0.1, 3)) for place in places]
    boxes = [shapely.box(*np.minimum(*far), *np.maximum(*far)), shapely.box(-1, -1, 1, 1)]
    parts = shapely.MultiPolygon([shapely.box(0, 0, 1, 1), shapely.box(2, 2, 3, 3)])
    made: list[Any] = [*circles, *boxes, parts, None]
    shapes: npt.NDArray[np.object_] = np.empty(len(made), dtype=object)
    shapes[:] = made
    return shapes


def each(*calls: Callable[[], object]) -> None:
    """Makes every call, whether one before it was refused or not; then the last refusal."""
    refused: Exception | None = None
    for call in calls:
        try:
            call()
        except (GeoweirError, ShapelyError) as error:
            refused = error
    if refused is not None:
        raise refused


DRIVERS: Final[dict[str, Callable[[Path, _Rng], None]]] = {
    "container": _container,
    "service": _service,
    "attributes": _attributes,
    "layer": _layer,
    "segments": _segments,
    "raster": _raster,
}
