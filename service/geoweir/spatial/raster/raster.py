"""A raster of the configuration: values at points, statistics over polygons."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geoweir.core.spec import RasterSpec
from geoweir.errors import ConfigurationError
from geoweir.spatial.crs import parse
from geoweir.spatial.file.format import LayerFileError
from geoweir.spatial.file.mapped import MappedFile
from geoweir.spatial.raster.band import Band
from geoweir.spatial.raster.compiled import MappedPixels
from geoweir.spatial.raster.pixels import Pixels
from geoweir.spatial.raster.request import Request, TooLargeError, TooVariedError
from geoweir.spatial.raster.sampling import Method, stored_at
from geoweir.spatial.raster.tally import Stats
from geoweir.spatial.raster.tiff import TiffPixels, code_of, opened
from geoweir.spatial.raster.zonal import zonal
from geoweir.spatial.raster.zones import Zones

__all__ = ["Raster", "load_tiff"]


@dataclass(frozen=True, slots=True, eq=False)
class Raster:
    """Values by place.

    Attributes:
        name: as in the configuration.
        crs: what the places are in, x before y.
        pixels: where the numbers come from.
        version: of the content, of a compiled raster.
    """

    name: str
    crs: str
    pixels: Pixels
    version: str | None = None

    def __repr__(self) -> str:
        return f"<Raster {self.name} {self.crs} {self.pixels.grid.width}x{self.pixels.grid.height}>"

    @classmethod
    def mapped(cls, name: str, file: MappedFile, crs: str | None = None) -> Raster:
        """A compiled raster.

        Raises:
            LayerFileError: it is none, or its CRS is none.
        """
        pixels = MappedPixels(file)
        given = crs or file.meta.get("crs")
        try:
            parse(given if isinstance(given, str) else "")
        except ConfigurationError as error:
            raise LayerFileError(f"its CRS can't be used: {error}") from error
        return cls(name, str(given), pixels, file.header.version)

    def described(self) -> str:
        """What it is, in a few words for people."""
        grid, bands = self.pixels.grid, self.pixels.bands
        how = "mapped" if self.version else "GeoTIFF, read in parts by each worker"
        count = f"{len(bands)} band{'' if len(bands) == 1 else 's'}"
        return f"{grid.width:,} x {grid.height:,} pixels, {count}, {self.crs}, {how}"

    def band(self, number: int) -> Band:
        """A band, from 1; ConfigurationError where there is none."""
        if not 1 <= number <= len(self.pixels.bands):
            count = len(self.pixels.bands)
            raise ConfigurationError(
                f"raster {self.name} has no band {number}. It has {count}, counted from 1."
            )
        return self.pixels.bands[number - 1]

    def values_at(
        self, xy: npt.NDArray[np.float64], method: Method = "nearest", band: int = 1
    ) -> npt.NDArray[np.float64]:
        """Values at coordinates, f8 (n,); NaN outside, where there is no value, and for NaN.

        Args:
            xy: f8 (n, 2), in the raster's CRS.
            method: see ``stored_at``.
            band: from 1.

        Raises:
            ConfigurationError: there is no such band, or the file can't be read any more.
        """
        one = self.band(band)
        stored = stored_at(self.pixels, band - 1, self.pixels.grid.pixels(xy), method)
        return stored * one.scale + one.offset if one.is_scaled else stored

    def zonal(
        self, geometries: npt.NDArray[np.object_], request: Request
    ) -> list[Stats | TooLargeError | TooVariedError]:
        """Statistics of stored numbers over polygons, see ``zonal``; ``summary`` scales them.

        Args:
            geometries: polygons, multipolygons and None, finite, in the raster's CRS.
            request: what is asked for.
        """
        return zonal(self.pixels, Zones.of(geometries, self.pixels.grid), request)


def load_tiff(spec: RasterSpec) -> Raster:
    """Opens a GeoTIFF that is read in parts.

    Raises:
        ConfigurationError: it can't be used; one line that names it.
    """
    try:
        dataset = opened(spec.path)
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(dataset.close)
            crs = spec.crs or code_of(dataset)
            parse(crs)
            raster = Raster(spec.name, crs, TiffPixels(dataset, spec.cache))
            on_failure.pop_all()
            return raster
    except ConfigurationError as error:
        raise ConfigurationError(f"raster file {spec.path}: {error}") from error
