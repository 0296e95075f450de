"""The step ``validate``: invalid geometry is that feature's error, or is repaired."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from geoweir.codec.features import Features
from geoweir.spatial.validity import MAX_VERTICES, Method, check, repair, too_complex
from geoweir.steps.step import Indices, StepContext, singly

__all__ = ["Validate"]


class Validate:
    """Checks every geometry, and repairs by ``repair`` what has at most ``max_vertices``."""

    def __init__(self, options: dict[str, Any], context: StepContext) -> None:
        del context
        method = options.get("repair", "none")
        self._method = None if method == "none" else cast("Method", method)
        self._max_vertices: int = options.get("max_vertices", MAX_VERTICES)

    def run(self, features: Features) -> None:
        """Sets errors, or repaired geometries and what was done; null geometries pass."""
        if features.positions is not None:  # a point is valid wherever it is
            return
        singly(features, features.alive(), lambda some: self._check(features, some))

    def _check(self, features: Features, some: Indices) -> None:
        reasons = check(features.geometry[some])
        for position, reason in enumerate(reasons):
            if reason is not None:
                self._treat(features, some[position : position + 1], reason)

    def _treat(self, features: Features, index: Indices, reason: str) -> None:
        method = self._method
        if method is None:
            features.errors[index[0]] = f"invalid geometry: {reason}"
            return
        excess = too_complex(features.geometry[index[0]], self._max_vertices, method)
        if excess is not None:
            features.errors[index[0]] = f"invalid geometry: {reason}; {excess}"
        else:
            singly(features, index, lambda one: _repair(features, one[0], method, reason))


def _repair(features: Features, index: np.intp, method: Method, reason: str) -> None:
    repaired = repair(features.geometry[index], method)
    if repaired is None:
        features.errors[index] = f"invalid geometry: {reason}; {method} could not repair it"
    else:
        features.geometry[index] = repaired
        features.repaired[index] = f"{method}: {reason}"
