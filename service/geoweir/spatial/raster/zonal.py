"""Statistics of a raster's pixels over polygons: the C kernel's, or numpy's with the same answers.

Which pixels belong to a polygon is GDAL's rule (see ``kernel/zonal.c``), so that counts equal
those of rasterio.features and rasterstats. Polygons lie in the raster's CRS, with straight edges
there; the even-odd rule decides, so that an invalid polygon has an answer too. The parts of a
multipolygon are united: a pixel counts once.
"""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np

from geoweir.spatial.kernel.loaded import has_kernel
from geoweir.spatial.raster.pixels import Pixels, Window
from geoweir.spatial.raster.request import Request, TooLargeError, TooVariedError
from geoweir.spatial.raster.scankernel import KernelScan
from geoweir.spatial.raster.scannumpy import NumpyScan
from geoweir.spatial.raster.tally import NONE, Stats
from geoweir.spatial.raster.zones import Zones

__all__ = ["zonal"]

#: Pixels from the raster's corner: what is computed from coordinates stays finite.
_FARTHEST: Final = 1e12


class _Scan(Protocol):
    def stats(self, feature: int, window: Window) -> Stats:
        """Statistics of a feature whose pixels lie in a window of the raster."""
        ...


def zonal(
    pixels: Pixels, zones: Zones, request: Request
) -> list[Stats | TooLargeError | TooVariedError]:
    """Statistics of the stored numbers, or what forbids them, per feature.

    Args:
        pixels: the raster's.
        zones: polygons on the raster's grid.
        request: what is asked for.

    Raises:
        MemoryError: there is not enough for the outline of a polygon.
        ConfigurationError: the raster's file can't be read any more.
    """
    scan: _Scan = (KernelScan if has_kernel() else NumpyScan)(pixels, zones, request)
    return [_one(scan, zones, feature) for feature in range(len(zones))]


def _one(scan: _Scan, zones: Zones, feature: int) -> Stats | TooLargeError | TooVariedError:
    try:
        _refuse_distance(zones, feature)
        window = zones.window(feature)
        return NONE if window is None else scan.stats(feature, window)
    except (TooLargeError, TooVariedError) as error:
        return error


def _refuse_distance(zones: Zones, feature: int) -> None:
    reach = np.abs(zones.boxes[feature]).max()
    if reach > _FARTHEST:
        raise TooLargeError(f"it reaches {reach:.3g} pixels, at most {_FARTHEST:.0e} are allowed")
