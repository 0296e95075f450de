"""The step ``join``: attributes of a layer on the features that lie in it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, cast

from geoweir.codec.features import Features
from geoweir.errors import ConfigurationError
from geoweir.spatial.crs import transformed, transformed_points
from geoweir.spatial.layer import Column, Layer, Match, Predicate
from geoweir.steps.copying import copied
from geoweir.steps.step import Indices, StepContext, singly

__all__ = ["Join", "pairs"]

_NESTED: Final = frozenset({dict, list})
_Rows = list[dict[str, Any]]
_Found = Iterable[tuple[int, Any]]  # (position in the rows, value)


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
        places = mine.tolist()
        rows = [features.properties[index] for index in some.tolist()]
        attach = _attach_first if self._match == "first" else _attach_all
        for name, column in self._columns.items():
            attach(rows, name, zip(places, column.values(theirs), strict=True))


def _attach_first(rows: _Rows, name: str, found: _Found) -> None:
    values: list[Any] = [None] * len(rows)
    for place, value in found:
        values[place] = copied(value) if type(value) in _NESTED else value
    for row, value in zip(rows, values, strict=True):
        row[name] = value


def _attach_all(rows: _Rows, name: str, found: _Found) -> None:
    for row in rows:
        row[name] = []
    for place, value in found:
        rows[place][name].append(copied(value))


def pairs(
    layer: Layer, features: Features, some: Indices, predicate: Predicate, match: Match
) -> tuple[Indices, Indices]:
    """``layer.join`` of some features, in the layer's CRS for the test only.

    What has no finite image in the layer's CRS can't lie in the layer.
    """
    if features.positions is not None:
        # Indices ascend without repetition: as many as there are features are all of them.
        is_all = len(some) == len(features)
        points = (features.positions if is_all else features.positions[some])[:, :2]
        if features.crs != layer.crs:
            points = transformed_points(points, features.crs, layer.crs)
        return layer.locate(points, predicate, match)
    geometries = features.geometry[some]
    if features.crs != layer.crs:
        geometries = transformed(geometries, features.crs, layer.crs)
    return layer.join(geometries, predicate, match)


def _column(layer: Layer, field: str) -> Column:
    try:
        return layer.column(field)
    except KeyError:
        if not len(layer):  # a live layer before its first feature: nothing can match
            return layer.column("id")
        known = ", ".join(["id", *layer.fields])
        raise ConfigurationError(
            f"join: no feature of layer {layer.name} has {field!r}. Its fields: {known}."
        ) from None
