"""Recorded samples beside the project; tests that need one that isn't there skip by its name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

__all__ = ["SAMPLES", "sample"]

_BESIDE = Path(__file__).resolve().parents[3] / "shared" / "samples"
SAMPLES = Path(os.environ.get("GEOWEIR_SAMPLES", _BESIDE))


def sample(path: str) -> Path:
    """The sample's path, such as ``tracks/ais_us_2022-01-03.csv.gz``."""
    found = SAMPLES / path
    if not found.exists():
        pytest.skip(f"the sample {path} is not here")
    return found
