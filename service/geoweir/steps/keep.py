"""The step ``keep``: only the named properties stay."""

from __future__ import annotations

from typing import Any

from geoweir.codec.features import Features
from geoweir.steps.step import StepContext

__all__ = ["Keep"]


class Keep:
    """Leaves the properties ``fields``, in the order of the message."""

    def __init__(self, options: dict[str, Any], context: StepContext) -> None:
        del context
        self._fields = frozenset(options["fields"])

    def run(self, features: Features) -> None:
        """Replaces the properties."""
        for index in features.alive().tolist():
            features.properties[index] = {
                name: value
                for name, value in features.properties[index].items()
                if name in self._fields
            }
