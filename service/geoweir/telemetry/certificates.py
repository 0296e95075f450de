"""What is logged of certificates: one line for each change."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from geoweir.telemetry.log import write
from geoweir.telemetry.metrics import Metrics

__all__ = ["CertificatesRefused", "CertificatesRenewed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificatesRenewed:
    """The files changed and are good: every connection is made anew with them."""

    ends: Mapping[str, float]  # Unix seconds

    def emit(self, log: logging.Logger, metrics: Metrics) -> None:  # noqa: ARG002 - a gauge shows it
        """Logs it."""
        ends = {
            name: datetime.fromtimestamp(end, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            for name, end in self.ends.items()
        }
        write(log, logging.INFO, "certificates-renewed", **ends)


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificatesRefused:
    """The files changed and can't be used: those before serve on until they can."""

    why: str

    def emit(self, log: logging.Logger, metrics: Metrics) -> None:  # noqa: ARG002 - connections go on
        """Logs it."""
        write(
            log,
            logging.ERROR,
            "certificates-refused",
            detail=self.why,
            help="put files in place that belong together; they are looked at every 2 s",
        )
