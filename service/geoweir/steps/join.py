"""The step ``join``: attributes of a layer on the features that lie in it."""

from __future__ import annotations

from typing import Any, cast

from geoweir.codec.features import Features
from geoweir.errors import ConfigurationError
from geoweir.spatial.crs import transformed
from geoweir.spatial.layer import Layer, Match, Predicate
from geoweir.steps.copying import copied
from geoweir.steps.step import Indices, StepContext, singly

__all__ = ["Join", "pairs"]

_Rows = list[dict[str, Any]]
_Found = list[tuple[int, int]]  # (position in the rows, index in the layer)


class Join:
    """Puts each attached field of the layer into ``properties`` under ``{layer}_{field}``.

    With ``match: first`` it is the value of the first match in the layer's order, null where
    nothing matched; with ``match: all`` the list of all values in that order. Without ``attach``
    the layer's id is attached.
    """

    def __init__(self, options: dict[str, Any], context: StepContext) -> None:
        self._layer = context.layer(options["layer"])
        self._predicate = cast("Predicate", options.get("predicate", "within"))
        self._match = cast("Match", options.get("match", "first"))
        fields = options.get("attach") or ["id"]
        self._columns = {
            f"{self._layer.name}_{field}": _column(self._layer, field) for field in fields
        }

    def run(self, features: Features) -> None:
        """Changes ``properties``; a null or empty geometry matches nothing."""
        singly(features, features.alive(), lambda some: self._join(features, some))

    def _join(self, features: Features, some: Indices) -> None:
        mine, theirs = pairs(self._layer, features, some, self._predicate, self._match)
        found = list(zip(mine.tolist(), theirs.tolist(), strict=True))
        rows = [features.properties[index] for index in some.tolist()]
        for name, column in self._columns.items():
            if self._match == "first":
                _attach_first(rows, name, column, found)
            else:
                _attach_all(rows, name, column, found)


def _attach_first(rows: _Rows, name: str, column: list[Any], found: _Found) -> None:
    for row in rows:
        row[name] = None
    for position, match in found:
        rows[position][name] = copied(column[match])


def _attach_all(rows: _Rows, name: str, column: list[Any], found: _Found) -> None:
    for row in rows:
        row[name] = []
    for position, match in found:
        rows[position][name].append(copied(column[match]))


def pairs(
    layer: Layer, features: Features, some: Indices, predicate: Predicate, match: Match
) -> tuple[Indices, Indices]:
    """``layer.join`` of some features, in the layer's CRS for the test only.

    What has no finite image in the layer's CRS can't lie in the layer.
    """
    geometries = features.geometry[some]
    if features.crs != layer.crs:
        geometries = transformed(geometries, features.crs, layer.crs)
    return layer.join(geometries, predicate, match)


def _column(layer: Layer, field: str) -> list[Any]:
    try:
        return layer.column(field)
    except KeyError:
        if not len(layer):  # a live layer before its first feature: nothing can match
            return []
        known = ", ".join(["id", *layer.attributes])
        raise ConfigurationError(
            f"join: no feature of layer {layer.name} has {field!r}. Its fields: {known}."
        ) from None
