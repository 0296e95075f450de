"""What every kind of source gives: features in batches, geometries as they stand in the source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from geoweir.errors import ConfigurationError
from geoweir.spatial.crs import Crs, Geometries

__all__ = ["Batch", "Selection", "Source", "fault", "no_geometries"]

_REMEDY: Final = "Correct the file or export it again"


@dataclass(slots=True)
class Batch:
    """Some features in the order of the source.

    Attributes:
        first: the number of the first in the source, from 0.
        ids: as text; None where ``--id`` names a property that the feature doesn't have.
        rows: the properties that are kept.
        geometries: object array; None for a feature without one.
        unread: why a geometry could not be read, by position in the batch.
        mended: positions of those whose rings had to be closed or left out.
    """

    first: int
    ids: list[str | None]
    rows: list[dict[str, Any]]
    geometries: Geometries
    unread: dict[int, str] = field(default_factory=dict)
    mended: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What of a source is wanted.

    Attributes:
        id_field: the property that becomes the feature's id.
        keep: the properties that are kept; all where it is None.
        table: the layer of a source of several.
        batch_bytes: how much of the source a batch may be, about.
    """

    id_field: str | None = None
    keep: tuple[str, ...] | None = None
    table: str | None = None
    batch_bytes: int = 8_000_000

    def kept(self, row: dict[str, Any]) -> dict[str, Any]:
        """The properties that are wanted of a feature's."""
        if self.keep is None:
            return row
        return {name: row[name] for name in self.keep if name in row}


class Source(Protocol):
    """Features that can be read once."""

    @property
    def crs(self) -> Crs | None:
        """What the source says of its coordinates; None where it says nothing."""
        ...

    @property
    def fraction(self) -> float | None:
        """How much of it was read, from 0 to 1; None where that can't be known."""
        ...

    def batches(self) -> Iterator[Batch]:
        """The features; ConfigurationError in one line where the source is damaged."""
        ...


def fault(path: str | Path, what: str, remedy: str = _REMEDY) -> ConfigurationError:
    """One line that names the file, what is wrong, and what to do."""
    return ConfigurationError(f"{path}: {what}. {remedy}.")


def no_geometries(count: int) -> Geometries:
    """So many features without a geometry."""
    return np.full(count, None, dtype=object)
