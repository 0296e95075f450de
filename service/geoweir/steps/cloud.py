"""The step ``cloud``: a point cloud cropped, thinned, measured or gridded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import shapely

from geoweir.codec.features import Features
from geoweir.errors import ConfigurationError
from geoweir.spatial.cloud.crop import Box, in_polygons
from geoweir.spatial.cloud.grid import gridded
from geoweir.spatial.cloud.ground import lowest
from geoweir.spatial.cloud.points import CloudError, Points, usable
from geoweir.spatial.cloud.statistics import measured
from geoweir.spatial.cloud.voxels import thinned
from geoweir.spatial.crs import Geometries, transformer
from geoweir.spatial.layer import Layer
from geoweir.spatial.raster.raster import Raster
from geoweir.steps.step import Indices, StepContext, singly

__all__ = ["MAX_CELLS", "MAX_POINTS", "Cloud"]

_Flags = npt.NDArray[np.bool_]
_Column = npt.NDArray[np.float64]
_Crop = Callable[[Points, str], _Flags]  # of points in a CRS, which ones stay
_Ground = Callable[[Points, str], _Column]  # of points in a CRS, what is below each; NaN: unknown

#: As settings has them.
MAX_POINTS: Final = 250_000
MAX_CELLS: Final = 10_000

_POLYGONAL: Final = (3, 6)  # shapely's ids of Polygon and MultiPolygon


class Cloud:
    """Treats each feature, a MultiPoint with z, by itself; any other geometry is its error.

    The order is fixed: crop, voxel, height_above, stats, grid. What heights are measured from is
    found before thinning, which could take the lowest points away. Several of these steps after
    each other give any other order.
    """

    def __init__(self, options: dict[str, Any], context: StepContext) -> None:
        self._crop = _crop(options.get("crop"), context)
        self._voxel: float | None = options.get("voxel")
        self._ground = _ground(options.get("height_above"), context)
        self._stats: list[str] = options.get("stats") or []
        self._grid: dict[str, Any] | None = options.get("grid")
        self._as: str = options.get("as", "cloud")
        self._most: int = options.get("max_points", MAX_POINTS)

    def run(self, features: Features) -> None:
        """Changes ``geometry`` and ``properties``."""
        for index in features.alive():
            singly(features, np.array([index]), lambda one: self._one(features, one))

    def _one(self, features: Features, one: Indices) -> None:
        index = int(one[0])
        try:
            points, found = self._treated(features.geometry[index], features.crs)
        except CloudError as error:
            features.errors[index] = f"cloud: {error}"
            return
        before = shapely.get_num_geometries(features.geometry[index])
        if self._ground is not None or len(points) < before:  # made anew only where it must be
            features.geometry[index] = shapely.multipoints(points)
        features.properties[index].update(found)

    def _treated(self, geometry: object, crs: str) -> tuple[Points, dict[str, Any]]:
        """What is left of a cloud, and the properties that it gets."""
        points, dropped = self._read(geometry)
        if self._crop is not None:
            points = points[self._crop(points, crs)]
        ground = None if self._ground is None else self._ground(points, crs)
        if self._voxel is not None:
            some = thinned(points, self._voxel)
            points, ground = points[some], None if ground is None else ground[some]
        if ground is not None:
            before = len(points)
            points = usable(np.column_stack([points[:, :2], points[:, 2] - ground]))
            dropped += before - len(points)
        return points, self._found(points, dropped)

    def _read(self, geometry: object) -> tuple[Points, int]:
        """The points of a feature, and how many were dropped as they aren't finite."""
        if not isinstance(geometry, shapely.MultiPoint):
            kind = "null" if geometry is None else f"a {getattr(geometry, 'geom_type', geometry)}"
            raise CloudError(f"the geometry is {kind}; a cloud is a MultiPoint with z")
        count = int(shapely.get_num_geometries(geometry))
        if count > self._most:
            raise CloudError(f"{count:,} points, at most {self._most:,} are allowed (max_points)")
        rows = shapely.get_coordinates(geometry, include_z=True)
        points = usable(rows)
        if len(rows) and np.isnan(rows[:, 2]).all():
            raise CloudError("no point has a z; a cloud is a MultiPoint with z")
        return points, count - len(points)  # a point may be empty, too

    def _found(self, points: Points, dropped: int) -> dict[str, Any]:
        found: dict[str, Any] = {
            f"{self._as}_{name}": value for name, value in measured(points, self._stats).items()
        }
        if self._grid is not None:
            name = self._grid.get("as") or f"{self._as}_grid"
            most = self._grid.get("max_cells", MAX_CELLS)
            value = self._grid.get("value", "max")
            found[name] = gridded(points, self._grid["cell"], value, most)
        if dropped:
            found[f"{self._as}_dropped"] = dropped
        return found


def _crop(options: dict[str, Any] | None, context: StepContext) -> _Crop | None:
    if not options:
        return None
    if options.get("layer") is not None:
        layer = context.layer(options["layer"])
        return lambda points, crs: _in_layer(points, crs, layer)
    box = Box.from_bbox(options["bbox"])
    return lambda points, crs: box.contains(points)  # noqa: ARG005 - a box is in any CRS


def _in_layer(points: Points, crs: str, layer: Layer) -> _Flags:
    """Which points lie in a polygon of the layer, in the layer's CRS for the test only."""
    moved = _moved(points, crs, layer.crs)
    finite = usable(moved)
    if not len(finite):
        return np.zeros(len(points), dtype=np.bool_)
    return in_polygons(moved, _polygons_at(layer, finite))


def _polygons_at(layer: Layer, points: Points) -> Geometries:
    """The layer's polygons that meet the points' box, which is widened so that it has an area."""
    west, south = np.nextafter(points[:, :2].min(axis=0), -np.inf)
    east, north = np.nextafter(points[:, :2].max(axis=0), np.inf)
    box = np.array([shapely.box(west, south, east, north)], dtype=object)
    _, theirs = layer.join(box, "intersects", "all")
    shapes = layer.geometries(theirs)
    return shapes[np.isin(shapely.get_type_id(shapes), _POLYGONAL)]


def _moved(points: Points, src: str, dst: str) -> Points:
    """Points in another CRS, z as it was; what has no image isn't finite."""
    if src == dst:
        return points
    moved = transformer(src, dst).transform(points[:, 0].copy(), points[:, 1].copy())
    return np.column_stack([*moved, points[:, 2]])


def _ground(options: dict[str, Any] | None, context: StepContext) -> _Ground | None:
    if not options:
        return None
    if options.get("raster") is not None:
        raster = context.raster(options["raster"])
        return lambda points, crs: _heights(points, crs, raster)
    size = float(options["lowest"])
    return lambda points, crs: lowest(points, size)  # noqa: ARG005 - cells are in any CRS


def _heights(points: Points, crs: str, raster: Raster) -> _Column:
    """The ground below points as a raster has it, NaN where it has none."""
    try:
        return raster.values_at(_moved(points, crs, raster.crs)[:, :2], "bilinear")
    except ConfigurationError as error:
        raise CloudError(f"raster {raster.name}: {error}") from error
