"""GeoTIFFs through rasterio (the extra ``rasters``): opened once, read tile by tile, kept in part.

Only the driver GTiff is let near the file, and it opens no other: no sidecar, no network.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from geoweir.errors import ConfigurationError
from geoweir.spatial.raster.band import DTYPES, Band
from geoweir.spatial.raster.grid import Grid
from geoweir.spatial.raster.pixels import Block, Window

__all__ = ["TILE", "TiffPixels", "code_of", "describe", "opened", "read_flags", "read_values"]

#: Rows and columns that are read and kept at once.
TILE: Final = 256
_ENVIRONMENT: Final = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",  # no .ovr, .msk, .tfw beside it
    "GDAL_PAM_ENABLED": "NO",  # no .aux.xml
    "GDAL_CACHEMAX": 4,  # MB; ours keeps what is read
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".none",
    "GDAL_HTTP_MAX_RETRY": 0,
    "GDAL_NUM_THREADS": "1",
}
_PLAIN_MASKS: Final = frozenset({"all_valid", "nodata"})
_Tile = tuple[npt.NDArray[Any], npt.NDArray[np.uint8] | None]


def _rasterio() -> Any:  # noqa: ANN401 - a module without types
    os.environ["PROJ_NETWORK"] = "OFF"  # rasterio has a PROJ of its own
    try:
        import rasterio  # noqa: PLC0415 - an extra, and large
    except ImportError:
        raise ConfigurationError(
            "reading a GeoTIFF needs rasterio, which is not installed. "
            "Install geoweir[rasters], or compile the raster elsewhere and name the .gwr file."
        ) from None
    return rasterio


def opened(path: str | Path) -> Any:  # noqa: ANN401 - rasterio has no types
    """An open dataset; the caller closes it.

    Raises:
        ConfigurationError: rasterio is missing, or there is no GeoTIFF.
    """
    rasterio = _rasterio()
    if not Path(path).is_file():  # nothing that GDAL would take for an address
        raise ConfigurationError("there is no such file. Correct the path.")
    try:
        with rasterio.Env(**_ENVIRONMENT), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # no transform: refused as no CRS
            return rasterio.open(path, driver="GTiff")
    except rasterio.errors.RasterioError as error:
        raise ConfigurationError(f"it is no GeoTIFF that can be read ({_line(error)}).") from error


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    rasterio = _rasterio()
    try:
        with rasterio.Env(**_ENVIRONMENT):
            yield
    except rasterio.errors.RasterioError as error:
        raise ConfigurationError(f"it can't be read whole ({_line(error)}).") from error


def _line(error: Exception) -> str:
    return " ".join(str(error.__cause__ or error).split())[:200].rstrip(".")


def describe(dataset: Any) -> tuple[Grid, tuple[Band, ...]]:  # noqa: ANN401
    """Grid and bands of a dataset; ConfigurationError where they are of no use here."""
    bands = tuple(_band(dataset, index) for index in dataset.indexes)
    if not bands:
        raise ConfigurationError("it has no bands. Give another file.")
    a, b, c, d, e, f = tuple(dataset.transform)[:6]
    return Grid(dataset.width, dataset.height, (a, b, c, d, e, f)), bands


def code_of(dataset: Any) -> str:  # noqa: ANN401
    """The authority and code of a dataset's CRS; ConfigurationError where it has none."""
    with _reading():
        authority = dataset.crs.to_authority() if dataset.crs else None
    if authority is None:
        what = "is not one with a code" if dataset.crs else "is not named in it"
        raise ConfigurationError(
            f"its CRS {what}. "
            "Give crs: in the configuration or --source-crs to geoweir compile, as in EPSG:32618."
        )
    return ":".join(authority)


def _band(dataset: Any, index: int) -> Band:  # noqa: ANN401
    given = np.dtype(dataset.dtypes[index - 1])
    dtype = given.newbyteorder("<").str.replace("|", "")
    if dtype not in DTYPES:
        raise ConfigurationError(
            f"its band {index} holds {given.name}. Convert it to 32 bits or floating point."
        )
    masks = {flag.name for flag in dataset.mask_flag_enums[index - 1]}
    return Band(
        dtype=dtype,
        nodata=_nodata(given, dataset.nodatavals[index - 1]),
        scale=float(dataset.scales[index - 1]),
        offset=float(dataset.offsets[index - 1]),
        is_masked=not masks <= _PLAIN_MASKS,
    )


def _nodata(dtype: np.dtype[Any], nodata: float | None) -> float | None:
    """As the band would store it: -3.4e38 in a file's text is a number of 32 bits in the band."""
    if nodata is None or np.isnan(nodata):
        return None
    with np.errstate(over="ignore"):
        return float(np.float32(nodata)) if dtype == np.float32 else float(nodata)


def read_values(dataset: Any, window: Window, number: int) -> npt.NDArray[Any]:  # noqa: ANN401
    """A window of the band ``number``, from 1; ConfigurationError where it can't be read."""
    with _reading():
        return np.asarray(dataset.read(number, window=_ranges(window)))


def read_flags(dataset: Any, window: Window, number: int) -> npt.NDArray[np.uint8]:  # noqa: ANN401
    """The mask of a window of a band, 0 where there is no value; errors as above."""
    with _reading():
        return np.asarray(dataset.read_masks(number, window=_ranges(window)))


def _ranges(window: Window) -> tuple[tuple[int, int], tuple[int, int]]:
    return (
        (window.top, window.top + window.height),
        (window.left, window.left + window.width),
    )


class TiffPixels:
    """The numbers of a GeoTIFF, of which at most ``cache`` bytes are kept."""

    def __init__(self, dataset: Any, cache: int) -> None:  # noqa: ANN401
        """Takes an open dataset; ConfigurationError where it is of no use here."""
        self.grid, self.bands = describe(dataset)
        self._dataset = dataset
        self._cache = cache
        self._held = 0
        self._tiles: OrderedDict[tuple[int, int, int], _Tile] = OrderedDict()

    @property
    def held(self) -> int:
        """Bytes that are kept."""
        return self._held

    def at(self, band: int, rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64]) -> _Tile:
        """See Pixels; ConfigurationError where the file can't be read any more."""
        one = self.bands[band]
        stored = np.empty(len(rows), dtype=one.dtype)
        flags = np.empty(len(rows), dtype=np.uint8) if one.is_masked else None
        keys, owner = np.unique(
            np.column_stack([rows // TILE, columns // TILE]), axis=0, return_inverse=True
        )
        for number, (down, across) in enumerate(keys.tolist()):
            some = np.flatnonzero(owner == number)
            place = (rows[some] - down * TILE, columns[some] - across * TILE)
            values, mask = self._tile(band, down, across)
            stored[some] = values[place]
            if flags is not None and mask is not None:
                flags[some] = mask[place]
        return stored, flags

    def window(self, band: int, window: Window) -> Block:
        """See Pixels; ConfigurationError where the file can't be read any more."""
        one = self.bands[band]
        shape = (window.height, window.width)
        stored = np.empty(shape, dtype=one.dtype)
        flags = np.empty(shape, dtype=np.uint8) if one.is_masked else None
        for down in range(window.top // TILE, -(-(window.top + window.height) // TILE)):
            for across in range(window.left // TILE, -(-(window.left + window.width) // TILE)):
                values, mask = self._tile(band, down, across)
                target, source = _overlap(window, down * TILE, across * TILE, values.shape)
                stored[target] = values[source]
                if flags is not None and mask is not None:
                    flags[target] = mask[source]
        return Block(window, stored, flags, shape)

    def whole(self, band: int) -> None:
        """See Pixels: there is none."""
        del band

    def _tile(self, band: int, down: int, across: int) -> _Tile:
        key = (band, down, across)
        if key in self._tiles:
            self._tiles.move_to_end(key)
            return self._tiles[key]
        tile = self._read(band, down * TILE, across * TILE)
        self._tiles[key] = tile
        self._held += _size(tile)
        while self._held > self._cache and len(self._tiles) > 1:
            self._held -= _size(self._tiles.popitem(last=False)[1])
        return tile

    def _read(self, band: int, top: int, left: int) -> _Tile:
        width, height = min(TILE, self.grid.width - left), min(TILE, self.grid.height - top)
        window = Window(left, top, width, height)
        is_masked = self.bands[band].is_masked
        return (
            read_values(self._dataset, window, band + 1),
            read_flags(self._dataset, window, band + 1) if is_masked else None,
        )


def _size(tile: _Tile) -> int:
    return tile[0].nbytes + (0 if tile[1] is None else tile[1].nbytes)


def _overlap(
    window: Window, top: int, left: int, shape: tuple[int, ...]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where a tile's numbers go in a window, and where they stand in the tile."""
    first = (max(window.top, top), max(window.left, left))
    end = (
        min(window.top + window.height, top + shape[0]),
        min(window.left + window.width, left + shape[1]),
    )
    target = (
        slice(first[0] - window.top, end[0] - window.top),
        slice(first[1] - window.left, end[1] - window.left),
    )
    source = (slice(first[0] - top, end[0] - top), slice(first[1] - left, end[1] - left))
    return target, source
