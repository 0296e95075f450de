"""Steps of a user, for ``python:``; the scenarios put this file beside their configuration."""

from __future__ import annotations

import os
import time
from typing import Any, Final

__all__ = ["hang_where_marked", "slow"]

_SLEEP_S: Final = float(os.environ.get("BENCH_SLEEP_MS", "10")) / 1000


def hang_where_marked(chunk: Any) -> None:  # noqa: ANN401 - a user need not know the type
    """Sleeps for ever where a feature is marked."""
    while any(properties["mark"] for properties in chunk.properties):
        time.sleep(3600)


def slow(chunk: Any) -> None:  # noqa: ANN401 - as above
    """Takes its time with every chunk."""
    del chunk
    time.sleep(_SLEEP_S)
