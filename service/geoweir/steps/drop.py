"""The step ``drop``: the named properties go."""

from __future__ import annotations

from typing import Any

from geoweir.codec.features import Features
from geoweir.steps.step import StepContext

__all__ = ["Drop"]


class Drop:
    """Leaves out the properties ``fields``."""

    def __init__(self, options: dict[str, Any], context: StepContext) -> None:
        del context
        self._fields = frozenset(options["fields"])

    def run(self, features: Features) -> None:
        """Replaces the properties."""
        for index in features.alive().tolist():
            features.properties[index] = {
                name: value
                for name, value in features.properties[index].items()
                if name not in self._fields
            }
