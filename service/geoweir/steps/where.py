"""The step ``where``: what doesn't fulfil it counts as filtered."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from geoweir.codec.features import Features
from geoweir.steps.join import pairs
from geoweir.steps.step import Indices, StepContext, singly

__all__ = ["Where"]

_Test = Callable[[Any, Any], bool]


class Where:
    """Keeps the features within the layer ``inside`` whose ``field`` fulfils every comparison.

    A field that is missing fulfils only ``exists: false``, ``not_equals`` and ``not_in``. A null
    counts as missing for ``exists``, as ``join`` attaches null where nothing matched. Values of
    different kinds are never equal, above or below each other; true is not 1.
    """

    def __init__(self, options: dict[str, Any], context: StepContext) -> None:
        inside = options.get("inside")
        self._layer = None if inside is None else context.layer(inside)
        self._field: str | None = options.get("field")
        self._tests = [(_TESTS[name], options[name]) for name in _TESTS if name in options]

    def run(self, features: Features) -> None:
        """Sets ``filtered``; a null or empty geometry is inside of nothing."""
        if self._field is not None:
            for index in features.alive().tolist():
                if not self._fulfils(features.properties[index]):
                    features.filtered[index] = "where"
        if self._layer is not None:
            singly(features, features.alive(), lambda some: self._keep_inside(features, some))

    def _fulfils(self, properties: dict[str, Any]) -> bool:
        value = _found(properties, self._field or "")
        return all(test(value, wanted) for test, wanted in self._tests)

    def _keep_inside(self, features: Features, some: Indices) -> None:
        if self._layer is None:
            return
        inside, _ = pairs(self._layer, features, some, "within", "first")
        outside = np.ones(len(some), dtype=np.bool_)
        outside[inside] = False
        for index in some[outside].tolist():
            features.filtered[index] = "where"


class _Missing:
    """The value of a field that isn't there."""


_MISSING: Final = _Missing()


def _found(properties: dict[str, Any], field: str) -> Any:  # noqa: ANN401 - any JSON value
    """A property by its name, or else by a dotted path into nested ones."""
    if field in properties:
        return properties[field]
    value: Any = properties
    for name in field.split("."):
        if not isinstance(value, dict) or name not in value:
            return _MISSING
        value = value[name]
    return value


def _kind(value: object) -> type:
    return float if isinstance(value, int) and not isinstance(value, bool) else type(value)


def _equals(value: object, wanted: object) -> bool:
    return _kind(value) is _kind(wanted) and value == wanted


def _is_in(value: object, wanted: list[object]) -> bool:
    return any(_equals(value, one) for one in wanted)


def _exists(value: object, wanted: object) -> bool:
    return (value is not None and value is not _MISSING) is bool(wanted)


def _ordered(compare: _Test) -> _Test:
    """A comparison of two numbers or two texts; false for all else, and for NaN."""

    def test(value: object, wanted: object) -> bool:
        return (
            _kind(value) is _kind(wanted)
            and _kind(value) in {float, str}
            and compare(value, wanted)
        )

    return test


_TESTS: Final[dict[str, _Test]] = {
    "equals": _equals,
    "not_equals": lambda value, wanted: not _equals(value, wanted),
    "above": _ordered(operator.gt),
    "below": _ordered(operator.lt),
    "at_least": _ordered(operator.ge),
    "at_most": _ordered(operator.le),
    "in": _is_in,
    "not_in": lambda value, wanted: not _is_in(value, wanted),
    "exists": _exists,
}
