"""Everything that GDAL reads, through pyogrio: the extra ``formats``."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import shapely

from geoweir.errors import ConfigurationError
from geoweir.spatial.crs import Crs, from_wkt
from geoweir.spatial.sources.batch import Batch, Selection, fault

__all__ = ["OgrSource"]

#: Drivers of files that make GDAL read other files, start programs, or go to the network.
_SKIPPED: Final = (
    "VRT,OGR_VRT,GDALG,GPSBabel,ADBC,HTTP,WFS,OAPIF,OGCAPI,CSW,EEDA,Carto,Elasticsearch,NGW,"
    "PLSCENES,AmigoCloud"
)
_MOST_FEATURES: Final = 16_384  # in a batch
_FEWEST_FEATURES: Final = 256
_FEATURE_BYTES: Final = 500  # about


class OgrSource:
    """One table of a source that GDAL has a driver for.

    Raises:
        ConfigurationError: pyogrio isn't installed, or GDAL can't read the source.
    """

    def __init__(self, path: Path, selection: Selection) -> None:
        os.environ.setdefault("GDAL_SKIP", _SKIPPED)  # which GDAL reads when it is loaded
        try:
            import pyogrio  # noqa: PLC0415 - an extra
            import pyogrio.raw  # noqa: PLC0415
        except ImportError as error:
            raise fault(
                path,
                "geoweir reads only GeoJSON by itself",
                "For all other formats install geoweir[formats]",
            ) from error
        self._reader: Any = pyogrio
        self._path = path
        self._selection = selection
        if not path.exists():
            raise fault(path, "there is no such file", "Correct the path")
        self._table = self._chosen()
        about = self._asked(
            lambda: pyogrio.read_info(path, layer=self._table, force_feature_count=True)
        )
        self._types = dict(zip(about["fields"].tolist(), about["dtypes"].tolist(), strict=True))
        self._count = max(int(about["features"]), 0)
        self._read = 0
        self._crs = self._understood(about["crs"])

    @property
    def crs(self) -> Crs | None:
        """As in ``Source``."""
        return self._crs

    @property
    def fraction(self) -> float | None:
        """As in ``Source``; of the features."""
        return self._read / self._count if self._count else None

    def batches(self) -> Iterator[Batch]:
        """As in ``Source``."""
        size = self._selection.batch_bytes // _FEATURE_BYTES
        size = min(max(size, _FEWEST_FEATURES), _MOST_FEATURES)
        while True:
            batch = self._next(size)
            if not batch.ids:
                return
            self._read += len(batch.ids)
            yield batch
            if len(batch.ids) < size:
                return

    def _chosen(self) -> str:
        """The table that was asked for, or the only one that there is."""
        tables = [str(row[0]) for row in self._asked(lambda: self._reader.list_layers(self._path))]
        known = ", ".join(tables[:20])
        wanted = self._selection.table
        if wanted is not None:
            if wanted not in tables:
                raise fault(self._path, f"it has no layer {wanted!r}", f"Its layers: {known}")
            return wanted
        if len(tables) != 1:
            raise fault(
                self._path,
                f"it has {len(tables)} layers",
                f"Name one with --layer: {known}" if tables else "Give another source",
            )
        return tables[0]

    def _asked(self, question: Any) -> Any:  # noqa: ANN401 - whatever pyogrio answers
        try:
            return question()
        except (RuntimeError, ValueError, OSError) as error:  # pyogrio's own derive from them
            what = f"GDAL can't read it ({' '.join(str(error).split())[:200]})"
            raise fault(self._path, what) from error

    def _understood(self, text: object) -> Crs | None:
        if not isinstance(text, str) or not text:
            return None
        if text.upper().startswith("EPSG:"):
            return text.upper()
        try:
            crs = from_wkt(text)
        except ConfigurationError as error:
            raise fault(self._path, "PROJ can't read its CRS", "Give --source-crs") from error
        code = crs.to_epsg()
        return crs if code is None else f"EPSG:{code}"

    def _next(self, size: int) -> Batch:
        about, _, shapes, columns = self._asked(
            lambda: self._reader.raw.read(
                self._path, layer=self._table, skip_features=self._read, max_features=size
            )
        )
        names = about["fields"].tolist()
        values = {
            name: _plain(column, self._types.get(name, ""))
            for name, column in zip(names, columns, strict=True)
        }
        count = len(columns[0]) if len(columns) else len(shapes) if shapes is not None else 0
        rows = [{name: column[index] for name, column in values.items()} for index in range(count)]
        ids = [self._id_of(row, number) for number, row in enumerate(rows, start=self._read + 1)]
        geometries = np.full(count, None, dtype=object)
        batch = Batch(self._read, ids, [self._selection.kept(row) for row in rows], geometries)
        if shapes is not None:
            _read_shapes(batch, shapes)
        return batch

    def _id_of(self, row: dict[str, Any], number: int) -> str | None:
        wanted = self._selection.id_field
        value = row.get("id" if wanted is None else wanted)
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            return str(value)
        return str(number) if wanted is None else None


def _read_shapes(batch: Batch, shapes: npt.NDArray[np.object_]) -> None:
    batch.geometries[:] = shapely.from_wkb(shapes, on_invalid="ignore")
    for index in np.flatnonzero(shapely.is_missing(batch.geometries)).tolist():
        if shapes[index] is None:
            continue
        mended = shapely.from_wkb(shapes[index], on_invalid="fix")
        if mended is None:
            batch.unread[index] = "its geometry can't be read"
        else:
            batch.geometries[index] = mended
            batch.mended.append(index)


def _plain(column: npt.NDArray[Any], kind: str) -> list[Any]:
    """A column as JSON has it: dates as ISO 8601, missing as None, integers as integers."""
    if column.dtype.kind == "M":
        texts = np.datetime_as_string(column)
        return [None if text == "NaT" else str(text) for text in texts]
    if column.dtype.kind == "f":
        is_whole = kind.startswith(("int", "uint"))  # with a null among them, GDAL gives floats
        return [
            None if math.isnan(value) else int(value) if is_whole else value
            for value in column.tolist()
        ]
    if column.dtype.kind != "O":
        plain: list[Any] = column.tolist()
        return plain
    is_flag = kind == "bool"
    return [_value(value, is_flag=is_flag) for value in column]


def _value(value: object, *, is_flag: bool) -> object:
    match value:
        case np.ndarray() | np.generic():
            return value.tolist()
        case bytes() | bytearray():
            return bytes(value).hex()
        case float() if math.isnan(value):
            return None
        case _:
            return bool(value) if is_flag and value is not None else value
