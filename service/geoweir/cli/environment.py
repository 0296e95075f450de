"""``GEOWEIR_ENV``: production, or staging, which is slow and tells more (docs/staging.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from geoweir.errors import UsageError

__all__ = ["ENVIRONMENT", "STAGING", "check_environment"]

ENVIRONMENT: Final = "GEOWEIR_ENV"
STAGING: Final = "staging"
_PRODUCTION: Final = "production"


def check_environment(environ: Mapping[str, str], *, processes: int) -> None:
    """Refuses what ``geoweir run`` can't be.

    Raises:
        UsageError: an unknown environment, or staging of several processes.
    """
    named = environ.get(ENVIRONMENT) or _PRODUCTION
    if named not in {_PRODUCTION, STAGING}:
        why = f"expected {_PRODUCTION} or {STAGING}, got {named[:40]!r}. Correct or unset it."
        raise UsageError(f"{ENVIRONMENT}: {why}")
    if named == STAGING and processes > 1:
        why = "staging looks into one process. Run it without --processes, or unset it."
        raise UsageError(f"{ENVIRONMENT}: {why}")
